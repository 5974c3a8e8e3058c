"""Entity types: where they are kept, and what a server has of them in memory."""
