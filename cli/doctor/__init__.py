"""`featom doctor`: what is wrong between a command and a feature store, and what to do about it."""
