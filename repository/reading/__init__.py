"""Reads: those of now, gathered into few queries, and lists and the past beside them."""
