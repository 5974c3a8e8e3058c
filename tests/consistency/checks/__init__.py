"""One file for each sort of check. A check yields a line for people for everything it finds."""
