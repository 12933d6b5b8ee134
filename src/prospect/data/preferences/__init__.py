"""Pairs of answers, one better than the other, in any of the published shapes, or drawn."""
