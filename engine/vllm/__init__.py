"""Inside a real vLLM: what its scheduler and KV connector do, as the same events as our own engine's."""
