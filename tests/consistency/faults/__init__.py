"""What goes wrong on purpose. Each fault ends by itself or when its block ends."""
