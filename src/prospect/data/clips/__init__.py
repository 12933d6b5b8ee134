"""Clips of a video stream with what is said and how a state changes, read, checked and cut."""
