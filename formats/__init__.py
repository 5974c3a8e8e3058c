"""Text formats that settings, files and commands share: addresses, PEM, YAML."""
