"""A request as the router tracks it, from acceptance to its end."""

from typing import Literal

import msgspec

from engine.messages import Shipped
from engine.request import Request

Stage = Literal["queued", "prefilling", "reserving", "shipping", "decoding", "recalled", "done"]


class Order(msgspec.Struct, eq=False):
    """`number`: its place in order of arrival. `output_ids`: the tokens it has, from whichever workers."""

    number: int
    request: Request
    output_ids: list[int] = msgspec.field(default_factory=list)
    stage: Stage = "queued"
    source: str = ""  # the worker that prefills (and decodes, if nothing is handed off)
    target: str = ""  # the worker that decodes after a handoff
    prefill_tokens: int = 0  # tokens whose KV the source makes
    tray: Shipped | None = None
    failed_handoffs: int = 0
    exhausted: int = 0  # workers that ran out of memory in a step with it
    asked: set[str] = msgspec.field(default_factory=set)  # holders that were told to drop it and have not confirmed
    ending: str = ""  # "cancelled" or "failed": why it ends once it has no holders

    @property
    def tokens(self) -> int:
        """Tokens of the prompt and of the answer so far."""
        return len(self.request.prompt_ids) + len(self.output_ids)

    @property
    def worst_tokens(self) -> int:
        """Tokens of the prompt and of the longest possible answer, for which blocks are reserved."""
        return len(self.request.prompt_ids) + self.request.max_output_tokens

    @property
    def holders(self) -> list[str]:
        """Workers that hold part of it, the sender before the receiver."""
        return [name for name in (self.source, self.target) if name]

    @property
    def end(self) -> str:
        """Why it is over; "" if it is not."""
        last = self.output_ids[-1] if self.output_ids else None
        return self.request.end(len(self.output_ids), last) or self.ending

    def let_go(self, worker: str) -> None:
        """`worker` no longer holds anything of it."""
        self.asked.discard(worker)
        if self.source == worker:
            self.source = ""
        if self.target == worker:
            self.target = ""
