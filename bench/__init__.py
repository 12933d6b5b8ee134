"""Claims about speed, measured: each module does the work and its peer in one run and returns the ratio."""
