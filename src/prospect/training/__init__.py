"""Collation, losses, the supervised trainer, checkpoints and callbacks."""
