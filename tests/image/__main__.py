"""`python -m tests.image`: build the image, run the lab in it, and report each finding in one line."""

import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import TypeVar

import click
import yaml

from tests.image.build import Builder, Image, stand_in
from tests.image.container import Container, started
from tests.lab.conftest import ROOT
from tests.patience import comes

T = TypeVar("T")
END_S = 5.0
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}


@click.command(context_settings={"max_content_width": 110})
@click.option("--build-arg", "given", multiple=True, metavar="NAME=VALUE", help="As docker build has it.")
@click.option("--offline", is_flag=True, help="No network in the build's steps either; packages lie in wheels/.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the root filesystems there.")
def main(given: tuple[str, ...], offline: bool, folder: Path | None) -> None:
    """Carry out the Dockerfile's steps in a clean root filesystem and try the lab in it. Needs root and debootstrap."""
    with tempfile.TemporaryDirectory(prefix="image-", dir="/var/tmp") as temporary:
        work = folder or Path(temporary)
        work.mkdir(exist_ok=True)
        base = timed("a root filesystem with Python", lambda: stand_in(work / "base"))
        arguments = dict(OFFLINE) if offline else {}
        arguments |= dict(one.split("=", 1) for one in given)
        builder = Builder(ROOT, base, work, arguments, offline=offline)
        image = timed("all of the Dockerfile's steps", lambda: builder.build((ROOT / "Dockerfile").read_text()))
        with started(image, work / "one-pod") as container:
            check(image, container)
        two_pools(image, work)


def check(image: Image, container: Container) -> None:
    timed("ready, says the Dockerfile's health check", lambda: wait_until_healthy(container))
    who = ":".join(container.ask(["id", option]).stdout.strip() for option in ("-u", "-g"))
    assert who == image.user != "0:0", who
    say(f"it runs as user {who}, as process 1, without capabilities: {capabilities(container)}")
    for path in ("/", image.folder, "/opt", "/etc", "/var/tmp", "/dev"):
        for user in ("", "0:0"):
            assert container.ask(["touch", f"{path}/x"], user).returncode != 0, f"{path} can be written to"
    devices = container.ask(["cat", "/proc/net/dev"]).stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"], devices
    say("nothing but /tmp, /dev/shm and the volume can be written to; the only network is lo")
    url = f"http://127.0.0.1:{image.ports[0]}"
    visitor = container.beside([sys.executable, "-m", "tests.smoke", url, "--stay"])
    assert visitor.stdout is not None
    heard = [visitor.stdout.readline().strip()]
    while heard[-1] not in ("busy", ""):
        heard.append(visitor.stdout.readline().strip())
    assert heard[-1] == "busy", (heard, visitor.communicate())
    say("\n".join(heard[:-1]))
    say(f"memory in use: {memory(container) / 1e6:,.0f} MB")
    book = (
        "from lab.web.settings import Settings; from lessons.book import Book;"
        "Book(Settings.of_environment().data / 'guesses.sqlite', 'me').forget()"
    )
    kept = container.ask(["python", "-c", book])
    assert kept.returncode == 0, kept.stderr
    left = container.ask(["find", "/tmp", "/dev/shm", "/data", "-type", "f"]).stdout.split()
    folders = Counter(str(PurePath(file).parent) for file in left)
    say(f"files that it made: {', '.join(f'{count} in {folder}' for folder, count in folders.items()) or 'none'}")
    took_s = container.stop(END_S)
    assert visitor.wait(END_S) == 0, visitor.communicate()
    assert "Traceback" not in container.said()
    kept_files = sorted(path.name for path in container.volume.iterdir())
    assert "guesses.sqlite" in kept_files, kept_files
    say(f"{image.stop} in the middle of a run ended everything in {took_s:.1f} s")
    say(f"the volume keeps {', '.join(kept_files)}")


def two_pools(image: Image, work: Path) -> None:
    """The pods of deploy/kubernetes/two-pools.yaml with their commands and variables, in one network."""
    manifests = yaml.safe_load_all((ROOT / "deploy/kubernetes/two-pools.yaml").read_text())
    pods = [
        one["spec"]["template"]["spec"]["containers"][0] | {"pod": one["metadata"]["name"]}
        for one in manifests
        if one["kind"] == "Deployment"
    ]
    secret, lab = secrets.token_hex(32), None
    with ExitStack() as running:
        for pod in pods:
            env = {one["name"]: one.get("value", secret) for one in pod["env"]}
            started_pod = started(image, work / pod["pod"], pod.get("command", ()), env, beside=lab)
            container = running.enter_context(started_pod)
            lab = lab or container
            assert comes(lambda here=container: here.first)  # type: ignore[misc]
        assert lab is not None
        wait_until_healthy(lab)
        smoke = lab.beside([sys.executable, "-m", "tests.smoke", f"http://127.0.0.1:{image.ports[0]}"])
        said, _ = smoke.communicate()
        assert smoke.returncode == 0, said
        say(f"the same with {', '.join(pod['pod'] for pod in pods)}, joined over TCP:\n{said.strip()}")


def wait_until_healthy(container: Container) -> None:
    assert comes(lambda: container.healthy() or not container.alive())
    assert container.alive()


def capabilities(container: Container) -> str:
    status = container.ask(["cat", "/proc/1/status"]).stdout
    held = {line.split()[1] for line in status.splitlines() if line.startswith("Cap")}
    assert held == {"0" * 16}, held
    return "CapEff 0"


def memory(container: Container) -> int:
    """Bytes of all its processes, counting shared memory once."""
    each = container.ask(["sh", "-c", "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | grep ^Pss:"]).stdout
    return 1024 * sum(int(line.split()[1]) for line in each.splitlines())


def timed(what: str, act: Callable[[], T]) -> T:
    began = time.monotonic()
    made = act()
    say(f"{what}: {time.monotonic() - began:.0f} s")
    return made


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
