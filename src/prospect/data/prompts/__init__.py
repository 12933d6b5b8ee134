"""Prompts without answers, with columns for rewards: from files, or drawn."""
