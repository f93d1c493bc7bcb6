"""Run the lab in its image as a container engine would: its user, no capabilities, read-only root, no network."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.image.build import ENTER, Image

NAMES = "127.0.0.1 localhost split-kitchen\n"  # the last is the Service's, in deploy/kubernetes
ALONE = ("--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")

# The root cannot be written to, nor can what comes with it; /tmp and the volumes can. `lo` is the only network.
START = (
    ENTER
    + """
mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$ROOT/tmp"
mount --bind "$VOLUME" "$ROOT$DATA"
mount --bind "$HOSTS" "$ROOT/etc/hosts"
mount -o remount,bind,ro "$ROOT"
mount -o remount,ro "$ROOT/dev"
ip link set lo up
"""
)


class Container:
    def __init__(self, image: Image, process: "subprocess.Popen[bytes]", volume: Path, log: Path) -> None:
        self._image = image
        self._process = process
        self._log = log
        self.volume = volume

    @property
    def first(self) -> int:
        """The host's id of the lab's own process, number 1 in its namespace; 0 while there is none."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if self.alive() else []
        return int(children[0]) if children else 0

    def ask(self, command: list[str], user: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command inside, as the lab's user unless said."""
        line = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--net", "--ipc", *enter(self._image, user)]
        return subprocess.run([*line, *command], env=self._image.env, capture_output=True, text=True)

    def beside(self, command: list[str]) -> "subprocess.Popen[str]":
        """Start one of this machine's commands in the lab's network."""
        line = ["nsenter", f"--target={self.first}", "--net", *command]
        return subprocess.Popen(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def healthy(self) -> bool:
        return self.first > 0 and self.ask(self._image.health).returncode == 0

    def stop(self, patience_s: float) -> float:
        """End it as `docker stop` does. Returns the seconds it took. Raises TimeoutExpired."""
        began = time.monotonic()
        os.kill(self.first, getattr(signal, self._image.stop))
        self._process.wait(patience_s)
        return time.monotonic() - began

    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        return self._log.read_text(errors="replace")


def enter(image: Image, user: str = "") -> list[str]:
    """The command prefix that runs a command in the image without any privilege."""
    uid, gid = (user or image.user).split(":")
    setpriv = f"setpriv --reuid={uid} --regid={gid} --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs"
    return ["chroot", str(image.root), *setpriv.split(), "env", f"--chdir={image.folder}"]


@contextmanager
def started(
    image: Image,
    work: Path,
    command: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    beside: Container | None = None,
) -> Iterator[Container]:
    """The image's command, or another, running until the block is left; in a network of its own, or `beside` another.

    `env` comes on top of the image's. `work` is the folder of its volume and its log.
    """
    (data,) = image.volumes
    volume, log, hosts = work / "volume", work / "log", work / "hosts"
    shutil.rmtree(work, ignore_errors=True)
    volume.mkdir(parents=True)
    os.chown(volume, *map(int, image.user.split(":")))  # as an engine gives a new volume to the folder's owner
    hosts.write_text(NAMES)
    inside = replace(image, env={**image.env, **(env or {})})
    network = ["nsenter", f"--target={beside.first}", "--net", "unshare"] if beside else ["unshare", "--net"]
    script = START + "exec " + shlex.join([*enter(image), *(command or image.command)])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*network, *ALONE, "/bin/sh", "-c", script],
            env=inside.env | {"ROOT": str(image.root), "VOLUME": str(volume), "DATA": data, "HOSTS": str(hosts)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    container = Container(inside, process, volume, log)
    try:
        yield container
    except BaseException:
        sys.stderr.write(container.said())
        raise
    finally:
        if first := container.first:  # all of its namespace goes with it; --kill-child is void once the user changes
            os.kill(first, signal.SIGKILL)
        process.kill()
        process.wait()
