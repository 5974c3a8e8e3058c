"""Entity types: specifications, rules, files."""
