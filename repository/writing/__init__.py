"""The write protocol: one attempt to commit one batch. It knows nothing of who waits for what."""
