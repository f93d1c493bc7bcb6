"""Carries out a Dockerfile's steps: one root filesystem per stage, and how the last one says to run it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from tests.image.dockerfile import Context, Step, steps

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# a root of its own with the devices that programs expect, and nothing that could outlive it
ENTER = """
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=755 dev "$ROOT/dev"
for device in null zero full random urandom; do
    touch "$ROOT/dev/$device" && mount --bind "/dev/$device" "$ROOT/dev/$device"
done
ln -s /proc/self/fd "$ROOT/dev/fd"
mkdir "$ROOT/dev/shm" && mount -t tmpfs -o mode=1777,size=64m shm "$ROOT/dev/shm"
"""


@dataclass
class Image:
    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    args: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    stop: str = "SIGTERM"
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        return self.root / os.path.normpath(os.path.join(self.folder, path)).lstrip("/")


class Builder:
    """`base`: the root filesystem that stands in for every FROM. `given`: values for ARGs. `offline`: for RUNs too."""

    def __init__(self, context: Path, base: Path, work: Path, given: Mapping[str, str], *, offline: bool) -> None:
        self._context = Context(context)
        self._base = base
        self._work = work
        self._given = given
        self._offline = offline
        self._stages: dict[str, Image] = {}
        self._before: dict[str, str] = {}  # ARGs before the first FROM: for FROMs only
        self._pip, self._shared = ({}, []) if offline else pip_settings()

    def build(self, dockerfile: str) -> Image:
        """The last stage's image. Raises CalledProcessError if a step fails, ValueError for one that is unknown."""
        image = Image(self._base)
        for step in steps(dockerfile):
            began = time.monotonic()
            image = self._carry_out(step, image)
            sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {step.verb} {step.words[:90]}\n")
            sys.stdout.flush()
        return image

    def _carry_out(self, step: Step, image: Image) -> Image:
        words = step.words
        match step.verb:
            case "FROM":
                return self._stage(words)
            case "ARG":
                name, _, default = words.partition("=")
                args = image.args if self._stages else self._before
                args[name] = self._given.get(name, default)
            case "ENV":
                said = dict(pair.split("=", 1) for pair in shlex.split(words))
                image.env |= {name: Template(value).safe_substitute(image.env) for name, value in said.items()}
            case "WORKDIR":
                image.folder = words
                image.inside(".").mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(step, image)
            case "RUN":
                self._run(words, image)
            case _:
                describe(step, image)
        return image

    def _stage(self, words: str) -> Image:
        source, _, name = words.partition(" AS ")
        base = Template(source).substitute(self._before)
        if base in self._stages:
            return self._copied(self._stages[base], name)
        said = subprocess.run(
            ["chroot", self._base, "python", "--version"], capture_output=True, text=True, check=True
        ).stdout
        wanted = base.removeprefix("python:").removesuffix("-slim")
        if f" {wanted}." not in said:
            raise ValueError(f"FROM {base}: the root filesystem that stands in for it has {said.strip()}")
        return self._copied(Image(self._base), name)

    def _copied(self, base: Image, name: str) -> Image:
        """A stage that starts from the end of another one."""
        image = replace(base, root=self._work / (name or "image"), env=dict(base.env), args=dict(base.args))
        shutil.rmtree(image.root, ignore_errors=True)  # of an earlier run
        subprocess.run(["cp", "-a", base.root, image.root], check=True)
        self._stages[name] = image
        return image

    def _copy(self, step: Step, image: Image) -> None:
        *sources, target = step.words.split()
        into = len(sources) > 1 or target.endswith("/")
        if "from" in step.options:
            (source,) = (self._stages[step.options["from"]].inside(one) for one in sources)
            # linked, not copied: nothing writes to either from here on
            subprocess.run(["cp", "-al", f"{source}/.", _made(image.inside(target))], check=True)
        else:
            self._context.copy(sources, image.inside(target), into=into)

    def _run(self, words: str, image: Image) -> None:
        environment = image.env | self._pip | {name: value for name, value in image.args.items() if value}
        script = ENTER
        for path in self._shared:
            inside = shlex.quote(str(_made(image.root / str(path).lstrip("/"), file=path.is_file())))
            script += f"mount --rbind -o ro {path} {inside}\n"
        if not self._offline:
            shutil.copy("/etc/resolv.conf", image.root / "etc/resolv.conf")
        script += f'exec chroot "$ROOT" env --chdir={image.folder} /bin/sh -c "$STEP"\n'
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *(["--net"] if self._offline else [])]
        environment |= {"ROOT": str(image.root), "STEP": words}
        line = [*alone, "/bin/sh", "-c", script]
        ran = subprocess.run(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ran.returncode:
            sys.stderr.write(ran.stdout)
        ran.check_returncode()


def describe(step: Step, image: Image) -> None:
    """Instructions that only say how to run the image."""
    match step.verb:
        case "USER":
            image.user = step.words
        case "VOLUME":
            image.volumes.append(step.words)
        case "EXPOSE":
            image.ports.append(int(step.words))
        case "STOPSIGNAL":
            image.stop = step.words
        case "HEALTHCHECK":
            image.health = json.loads(step.words.removeprefix("CMD"))
        case "CMD":
            image.command = json.loads(step.words)
        case _:
            raise ValueError(f"{step.verb} {step.words}: no step that is known here")


def pip_settings() -> tuple[dict[str, str], list[Path]]:
    """pip's settings on this machine as variables, and the files and folders that they name."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in said.splitlines():
        name, _, value = line.partition("=")
        settings["PIP_" + name.rpartition(".")[2].upper().replace("-", "_")] = value.strip("'\"")
    paths = [Path(word.removeprefix("file://")) for value in settings.values() for word in value.split()]
    # an index on disk is a folder of pages that point to files beside it
    shared = {path.parent if path.name == "simple" else path for path in paths if path.is_absolute() and path.exists()}
    return settings, sorted(shared)


def _made(path: Path, *, file: bool = False) -> Path:
    if file:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    else:
        path.mkdir(parents=True, exist_ok=True)
    return path


def stand_in(folder: Path) -> Path:
    """A root filesystem with Debian's Python in place of the official image, from this machine's mirror."""
    if not folder.exists():
        index = ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"]
        release = Path("/etc/os-release").read_text().partition("VERSION_CODENAME=")[2].split()[0]
        lines = subprocess.run(index, capture_output=True, text=True, check=True).stdout.splitlines()
        mirror = next(line.split()[0] for line in lines if line.split()[-1] == release)
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(
            ["debootstrap", "--variant=minbase", packages, release, folder, mirror],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        (folder / "etc/hosts").touch()  # a container engine writes it
    return folder
