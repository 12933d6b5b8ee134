"""Metrics as pure functions, batch generation and scoring."""
