"""What runs the process: logs, garbage collection, memory, watched files, TLS, supervision."""
