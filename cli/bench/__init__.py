"""`featom bench`: a load of one's own against a server, and what it took."""
