"""The commands about aggregates: reading, changing and comparing them."""
