"""One step on one core: from tokens and blocks to the next tokens."""
