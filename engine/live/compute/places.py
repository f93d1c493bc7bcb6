"""The places there are, by name. A process imports only what its own place needs."""

from engine.live.compute.place import HOST, Place


def place(name: str) -> Place:
    """The place of that name: "cpu", "cuda:N", or "stand-in", which runs a device's code on the CPU, for tests."""
    if name == "cpu":
        return HOST
    if name == "stand-in":
        from engine.live.compute.stand_in import StandIn

        return StandIn()
    from engine.live.compute.cuda import Cuda

    return Cuda(name)
