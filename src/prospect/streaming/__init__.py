"""A trained model watching a stream: the engine, its cache, context strategies, updates that can only be legal."""
