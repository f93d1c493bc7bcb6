"""Manifests, image and settings cannot be deployed here, so they are checked against the code that they name."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import kubernetes_validate
import pytest
import yaml
from packaging.utils import canonicalize_name

from engine.live.model.catalog import FORMAT
from engine.live.process.join_server import KEY_VARIABLE
from engine.units import host_and_port
from lab.ui.streamlit_options import OPTIONS
from lab.web.allowed_hosts import Hosts
from lab.web.cli import cli
from lab.web.routes import ROUTES
from lab.web.settings import Settings
from tests.image.dockerfile import Context, Step, steps
from tests.lock import direct

ROOT = Path(__file__).parents[1]
MANIFESTS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
K8S = "1.31"
DOCKERFILE = steps((ROOT / "Dockerfile").read_text())
SETTING = re.compile(r"SPLIT_KITCHEN_(?!TEST_)[A-Z]+(?:_[A-Z]+)*")

Document = dict[str, Any]

each = pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
LABS = [path for path in MANIFESTS if path.name != "ingress.yaml"]
each_lab = pytest.mark.parametrize("path", LABS, ids=lambda path: path.name)


def documents(path: Path, kind: str = "") -> list[Document]:
    return [one for one in yaml.safe_load_all(path.read_text()) if kind in ("", one["kind"])]


def pods(path: Path) -> list[Document]:
    return [one["spec"]["template"] for one in documents(path, "Deployment")]


def containers(path: Path) -> list[Document]:
    return [container for pod in pods(path) for container in pod["spec"]["containers"]]


def said(verb: str) -> list[Step]:
    return [step for step in DOCKERFILE if step.verb == verb]


# ---- Kubernetes


@each
def test_it_matches_the_api_schema(path: Path) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, K8S, strict=True)


@each_lab
def test_every_command_is_valid(path: Path) -> None:
    commands = [container["command"] for container in containers(path) if "command" in container]
    assert len(commands) == len(containers(path)) - 1  # the lab's is the image's own
    ports = {port["port"] for service in documents(path, "Service") for port in service["spec"]["ports"]}
    names = {service["metadata"]["name"] for service in documents(path, "Service")}
    for program, command, *arguments in commands:
        assert program == "split-kitchen"
        given = cli.commands[command].make_context(command, arguments).params
        host, port = host_and_port("join", given["address"])
        assert host in names
        assert port in ports
        assert given["role"] in ("prefill", "decode")


def test_an_invalid_command_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        cli.commands["worker"].make_context("worker", ["--join", "a:1", "--rank", "prefill"])


@each_lab
def test_selectors_and_ports_match(path: Path) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(path)]
    selectors = [one["spec"]["selector"]["matchLabels"] for one in documents(path, "Deployment")]
    assert selectors == labels
    for service in documents(path, "Service"):
        (chosen,) = [
            pod for pod in pods(path) if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        open_ports = {port["name"] for port in chosen["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == open_ports


@each_lab
def test_pods_run_as_the_image_says(path: Path) -> None:
    (user,), (port,), (volume,) = said("USER"), said("EXPOSE"), said("VOLUME")
    for pod in pods(path):
        (container,), spec = pod["spec"]["containers"], pod["spec"]
        owner = spec["securityContext"]
        assert f"{owner['runAsUser']}:{owner['runAsGroup']}" == user.words
        assert owner["runAsNonRoot"]
        assert not spec["enableServiceLinks"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
        if container["name"] == "lab":
            assert container["ports"][0]["containerPort"] == int(port.words)
            assert volume.words in [mount["mountPath"] for mount in container["volumeMounts"]]
            paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")}
            assert paths <= {route.path for route in ROUTES}  # Streamlit would answer 200 to any
            env = {one["name"]: one.get("valueFrom") for one in container["env"]}
            key = {"secretKeyRef": {"name": "split-kitchen", "key": "instructor-key"}}
            assert env["SPLIT_KITCHEN_INSTRUCTOR_KEY"] == key


@each_lab
def test_one_build_everywhere(path: Path) -> None:
    """A tag that stays, the project's own version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    every = [
        one for pod in pods(path) for kind in ("containers", "initContainers") for one in pod["spec"].get(kind, [])
    ]
    assert {one["image"] for one in every} == {f"split-kitchen:{version}"}
    assert yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["lab"]["image"] == f"split-kitchen:{version}"


@each_lab
def test_nobody_who_need_not_reaches_the_lab(path: Path) -> None:
    about_lab = [one for one in documents(path, "NetworkPolicy") if one["metadata"]["name"] == "split-kitchen-lab"]
    assert [one["spec"]["podSelector"] for one in about_lab] == [
        {"matchLabels": {"app": "split-kitchen", "part": "lab"}}
    ]
    open_to_all = [rule["ports"] for rule in about_lab[0]["spec"]["ingress"] if "from" not in rule]
    assert open_to_all == [[{"port": "http"}]]
    if path.name == "lab.yaml":
        assert about_lab[0]["spec"]["egress"] == []


def test_the_ingress_leads_to_the_lab_and_lets_sockets_live() -> None:
    (ingress,) = documents(ROOT / "deploy/kubernetes/ingress.yaml")
    (rule,) = ingress["spec"]["rules"]
    (to,) = [path["backend"]["service"] for path in rule["http"]["paths"]]
    for path in LABS:
        (service,) = documents(path, "Service")
        assert service["metadata"]["name"] == to["name"]
        assert to["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    notes = ingress["metadata"]["annotations"]
    proxy = "nginx.ingress.kubernetes.io/proxy"
    assert int(notes[f"{proxy}-read-timeout"]) >= 3600  # a page that waits for its class is silent for minutes
    assert notes[f"{proxy}-body-size"] == f"{OPTIONS['server.maxUploadSize']}m"
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_workers_wait_for_the_lab_by_a_name_that_it_knows() -> None:
    path = ROOT / "deploy/kubernetes/two-pools.yaml"
    waiting = [one for pod in pods(path) for one in pod["spec"].get("initContainers", [])]
    assert len(waiting) == 2
    said = {one["name"]: one["value"] for one in _env(path) if "value" in one}
    hosts = Hosts(Settings.of_environment(said).hosts)
    for container in waiting:
        program, option, script = container["command"]
        assert (program, option) == ("python", "-c")
        compile(script, "wait", "exec")
        (url,) = [urlsplit(found) for found in re.findall(r'"(http://[^"]+)"', script)]
        assert url.netloc in hosts
        assert url.path in {route.path for route in ROUTES}


def test_two_pools_are_one_engine() -> None:
    path = ROOT / "deploy/kubernetes/two-pools.yaml"
    lab, prefill, decode = documents(path, "Deployment")
    (front,) = lab["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value") for one in front["env"]}
    assert int(env["SPLIT_KITCHEN_WORKERS"]) == prefill["spec"]["replicas"] + decode["spec"]["replicas"]
    _, port = host_and_port("listen", env["SPLIT_KITCHEN_LISTEN"])
    assert port in [one["containerPort"] for one in front["ports"]]
    for role, deployment in (("prefill", prefill), ("decode", decode)):
        spec = deployment["spec"]["template"]["spec"]
        assert spec["nodeSelector"] == {"split-kitchen/pool": role}
        assert spec["containers"][0]["command"][-2:] == ["--role", role]
    secrets = [one["valueFrom"] for one in _env(path) if one["name"] == KEY_VARIABLE]
    assert len(secrets) == 3
    assert all(secret == secrets[0] for secret in secrets)


def _env(path: Path) -> list[Document]:
    return [variable for container in containers(path) for variable in container.get("env", [])]


# ---- compose


def test_compose_runs_the_image_as_the_image_says() -> None:
    (port,), (volume,) = said("EXPOSE"), said("VOLUME")
    lab = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["lab"]
    assert lab["read_only"]
    assert lab["cap_drop"] == ["ALL"]
    assert lab["security_opt"] == ["no-new-privileges:true"]
    assert [one.rpartition(":")[2] for one in lab["ports"]] == [port.words]
    assert [one.partition(":")[2] for one in lab["volumes"]] == [volume.words]
    assert [one.partition(":")[0] for one in lab["tmpfs"]] == ["/tmp"]
    assert lab["mem_limit"] == lab["memswap_limit"] == "4g"  # as in Kubernetes
    assert yaml.safe_load((ROOT / "compose.gpu.yaml").read_text())["services"].keys() == {"lab"}


# ---- the image


def test_the_build_context_contains_everything_that_is_copied(tmp_path: Path) -> None:
    """Without Docker, only this test notices a file that .dockerignore excludes by mistake."""
    context, copied = Context(ROOT), 0
    for step in said("COPY"):
        if "from" not in step.options:
            *sources, target = step.words.split()
            context.copy(sources, tmp_path / str(copied), into=target.endswith("/"))
            copied += 1
    assert copied >= 5
    assert not list(tmp_path.rglob("__pycache__"))
    assert len(list(tmp_path.glob("*/__init__.py"))) == 3  # the packages' contents
    with pytest.raises(FileNotFoundError, match="dockerignore"):
        context.copy(["tests"], tmp_path / "tests", into=False)


def stages() -> dict[str, list[Step]]:
    """The steps of each stage by its name; "" is the final image."""
    found: dict[str, list[Step]] = {}
    for step in DOCKERFILE:
        if step.verb == "FROM":
            found[step.words.partition(" AS ")[2]] = []
        elif found:
            list(found.values())[-1].append(step)
    return found


def test_an_edit_of_the_code_ships_only_code() -> None:
    """Docker repeats a step if one of its files, or a step before it, has changed."""
    made_from = {
        name: [word for step in made if step.verb == "COPY" and not step.options for word in step.words.split()[:-1]]
        for name, made in stages().items()
    }
    assert made_from["packages"] == ["constraints.txt", "wheel[s]"]
    assert made_from["model"] == ["engine/live/model/convert.py"]
    assert {"assets", "engine", "lab", "lessons"} < set(made_from["code"])
    assert made_from[""] == []
    layers = [step for step in stages()[""] if step.verb in ("COPY", "RUN")]
    assert [step.options.get("from", step.verb) for step in layers] == ["RUN", "packages", "model", "code"]


def test_the_models_converter_imports_nothing_of_ours() -> None:
    tree = ast.parse((ROOT / "engine/live/model/convert.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert "transformers" in names
    assert not [name for name in names if name and name.partition(".")[0] in ("engine", "lab", "lessons")]


def test_the_model_is_where_the_lab_looks_for_it() -> None:
    (converts,) = [step for step in stages()["model"] if step.verb == "RUN"]
    assert f'$(basename "$gguf" .gguf)-$(stat -c %s "$gguf")-v{FORMAT}' in converts.words


def test_every_dependency_is_locked() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    for wanted in direct():
        if wanted.marker is None or wanted.marker.evaluate():
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), wanted


def test_the_health_check_asks_a_route_of_the_lab() -> None:
    (check,) = said("HEALTHCHECK")
    assert any(f"'{route.path}'" in check.words for route in ROUTES)


def test_the_dockerfile_reader_knows_continued_lines_options_and_comments() -> None:
    read = steps("# one\nRUN a \\\n  # two\n  && b\nCOPY --from=build x y\n")
    assert read == [Step("RUN", {}, "a   && b"), Step("COPY", {"from": "build"}, "x y")]


# ---- settings


def test_the_table_lists_exactly_the_settings() -> None:
    code = [path.read_text() for folder in ("engine", "lab", "lessons") for path in (ROOT / folder).rglob("*.py")]
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/deploying.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted({name for text in code for name in SETTING.findall(text)})


def test_every_variable_that_is_set_is_a_setting() -> None:
    table = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/deploying.md").read_text(), re.MULTILINE))
    files = [ROOT / "Dockerfile", *ROOT.glob("compose*.yaml"), *MANIFESTS]
    set_there = {name for file in files for name in re.findall(r"SPLIT_KITCHEN_[A-Z_]*[A-Z]", file.read_text())}
    assert set_there <= table
