"""Configuration check, run folder, manifest and report. Knows nothing of torch."""
