"""Which model, where its files lie, its text and its KV."""
