"""The model: what a feature aggregate is, and what may happen to it. No I/O, and no clock."""
