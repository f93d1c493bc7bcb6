"""The transports a worker may have: shared memory, TCP, NIXL."""

from collections.abc import Iterable

from engine.errors import TransportFailed
from engine.live.compute.kv import DevicePool, Pool
from engine.live.handoff.transport import Grants, Path, Transport
from engine.live.handoff.transports import nixl, peer, shm, tcp


def why_not(name: str) -> str | None:
    """Why this machine cannot use the transport, or None if it can."""
    return nixl.why_not() if name == "nixl" else None


class Transports:
    """A worker's open transports: the ways into its pool, and out of it into others'.

    `key` is shared by the workers of one engine: TCP admits no one else. TCP listens on `host`; other workers connect
    to `advertise`, where the two differ (0.0.0.0, containers, NAT).
    Threads that call these have entered the pool's place.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        key: bytes,
        names: Iterable[str] = ("shm", "tcp"),
        host: str = "127.0.0.1",
        advertise: str | None = None,
    ) -> None:
        self.pool = pool
        self.grants = Grants(pool.blocks)
        self._transports: dict[str, Transport] = {}
        for name in names:
            match name:
                case "shm":
                    self._transports[name] = peer.Peer(pool) if isinstance(pool, DevicePool) else shm.Shm(pool)
                case "tcp":
                    self._transports[name] = tcp.Tcp(pool, self.grants, key, host, advertise or host)
                case "nixl":
                    self._transports[name] = nixl.Nixl(pool)
                case _:
                    raise ValueError(name)

    @property
    def endpoints(self) -> dict[str, bytes]:
        """By transport, what another worker needs to `connect` to this one."""
        return {name: transport.endpoint for name, transport in self._transports.items()}

    def connect(self, transport: str, endpoint: bytes) -> Path:
        """A path into another worker's pool. Raises TransportFailed."""
        if transport not in self._transports:
            raise TransportFailed(f"This worker has no {transport} transport, only {', '.join(self._transports)}.")
        return self._transports[transport].connect(endpoint)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()
