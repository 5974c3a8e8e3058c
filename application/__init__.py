"""Use cases: what the store does, above the domain and without an edge or a storage of its own."""
