"""Loading, the tiny model, image layout and adaptation."""
