"""A real vLLM seen from inside: what its scheduler and KV connector do, in the same events as our own engine's."""
