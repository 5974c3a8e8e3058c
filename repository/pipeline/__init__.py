"""The commit pipeline: which commands go into a batch, and when; `writing` then commits it."""
