"""Measure how long visitors wait for a page while a sweep runs: `python -m tests.sweep_lag`.

One visitor sweeps a rack, which takes a core for minutes. Another reruns a page every quarter of a second, before the
sweep and during it.
"""

import time
from statistics import quantiles

from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.lab.conftest import Lab, Visitor, open_lab

RERUNS = 60


class Reader(Visitor):
    """A visitor of one page, named as in its address."""

    def __init__(self, lab: Lab, page: str, query: str = "") -> None:
        super().__init__(lab, query)
        self._page = page

    def ask(self, message: BackMsg) -> None:
        message.rerun_script.page_name = self._page
        super().ask(message)


def reruns_s(visitor: Visitor) -> list[float]:
    took = []
    for _ in range(RERUNS):
        begun = time.perf_counter()
        visitor.run()
        took.append(time.perf_counter() - begun)
        time.sleep(0.25)
    return took


def summary(took: list[float]) -> str:
    return f"median {sorted(took)[len(took) // 2] * 1e3:.0f} ms, p95 {quantiles(took, n=20)[-1] * 1e3:.0f} ms"


def main() -> None:
    with open_lab() as lab:
        sweeps = "asks=ratio&site=GB200+NVL72&site_gpu=GB200&isl=4096&osl=128"
        for page in ("kitchen", "scale", "lessons"):
            with Reader(lab, page) as other:
                reruns_s(other)
                print(f"{page}, no sweep: {summary(reruns_s(other))}")  # noqa: T201
                with Reader(lab, "scale", sweeps) as sweeper:
                    sweeper.press("Simulate")
                    print(f"{page}, one sweep: {summary(reruns_s(other))}")  # noqa: T201
                    sweeper.press("Cancel")


if __name__ == "__main__":
    main()
