"""Which model: where its files are, its dtype, its KV's shape and its text."""
