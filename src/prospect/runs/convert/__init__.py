"""Configurations of NanoVLM-Lab as command lines of this repository."""
