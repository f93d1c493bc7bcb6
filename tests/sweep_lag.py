"""How long others wait for a page while sweeps run: `python -m tests.sweep_lag`.

One visitor sweeps a rack, which takes a core for minutes; another has a page run anew every quarter of a second, first
before that and then meanwhile.
"""

import time
from statistics import quantiles

from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.lab.conftest import Lab, Visitor, open_lab

RERUNS = 60


class Reader(Visitor):
    """Looks at one page by its name in the address."""

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


def says(took: list[float]) -> str:
    return f"median {sorted(took)[len(took) // 2] * 1e3:.0f} ms, p95 {quantiles(took, n=20)[-1] * 1e3:.0f} ms"


def main() -> None:
    with open_lab() as lab:
        sweeps = "asks=ratio&site=GB200+NVL72&site_gpu=GB200&isl=4096&osl=128"
        for page in ("kitchen", "scale", "lessons"):
            with Reader(lab, page) as other:
                reruns_s(other)
                print(f"{page}, nobody sweeps: {says(reruns_s(other))}")  # noqa: T201
                with Reader(lab, "scale", sweeps) as sweeper:
                    sweeper.press("Simulate")
                    print(f"{page}, one sweeps: {says(reruns_s(other))}")  # noqa: T201
                    sweeper.press("Cancel")


if __name__ == "__main__":
    main()
