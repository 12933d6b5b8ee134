"""Conversations about pictures in any of the published shapes, from files, folders or the hub."""
