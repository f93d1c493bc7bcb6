"""One step on one core: from tokens and KV blocks to the next tokens."""
