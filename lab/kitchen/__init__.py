"""Free play: choose orders and a link, run them on the real engine, watch and compare."""

INTRO = (
    "Should an LLM server **prep** prompts (prefill) and **plate** tokens (decode) at one station, or at two, with "
    "the KV cache carried across? A real model in real worker processes serves every order you see."
)
