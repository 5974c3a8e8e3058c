"""The RPCs of each service: convert, call, convert back."""
