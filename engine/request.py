"""What a client asks of the engine. Values only, no state."""

from typing import Annotated

import msgspec


class Sampling(msgspec.Struct, frozen=True):
    """How the next token is chosen. `temperature` 0 is greedy; `top_p` keeps the smallest set of tokens with that mass.

    Draws depend on (`seed`, index of the token) alone, so a request that has to be computed again ends the same.
    """

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seed: int = 0


class Request(msgspec.Struct, frozen=True, gc=False):  # values only
    """One prompt and the limits of its answer.

    `prompt_ids` are token ids, `arrival_s` is seconds after the run's zero, `prompt` is the text for people to read.
    Generation ends at `max_output_tokens` or at one of `stop_ids` (end-of-sequence tokens), whichever is first.
    """

    id: str
    prompt_ids: tuple[int, ...]
    max_output_tokens: int
    arrival_s: float = 0.0
    sampling: Sampling = Sampling()
    stop_ids: tuple[int, ...] = ()
    prompt: str = ""

    def end(self, output_tokens: int, last: int | None) -> str:
        """Why generation is over after `output_tokens` tokens, the last one being `last`; "" if it is not."""
        if last in self.stop_ids:
            return "stop"
        return "length" if output_tokens >= self.max_output_tokens else ""
