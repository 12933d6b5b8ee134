"""Disk to Sample: one module a dataset, splits, audits, and the built-in worlds."""
