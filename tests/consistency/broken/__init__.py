"""Stores that are wrong on purpose, to prove that the tests would notice. Never in the product."""
