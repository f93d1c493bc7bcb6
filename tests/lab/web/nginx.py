"""A real nginx before a lab, as people put one: below a path, with TLS, taking the path off, and set up wrong."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.conftest import Address, free_port
from tests.patience import comes

PASS_ON = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
"""
WHOLE = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port}{tls};
    {settings}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, settings: str, *, tls: bool = False) -> Iterator[Address]:
    """nginx with these settings of its server, in which {pass_on} passes WebSockets on; where it answers."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx here")
    port = free_port()
    certificate = _certificate(folder) if tls else ""
    text = WHOLE.format(
        folder=folder,
        port=port,
        tls=" ssl" if tls else "",
        settings=certificate + settings.replace("{pass_on}", PASS_ON),
    )
    (folder / "nginx.conf").write_text(text)
    running = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    proxy = Address(f"127.0.0.1:{port}")
    if tls:
        proxy.url = f"https://127.0.0.1:{port}"
    try:
        assert comes(lambda: running.poll() is not None or _answers(proxy)), (folder / "error.log").read_text()
        assert running.poll() is None, (folder / "error.log").read_text()
        yield proxy
    finally:
        running.terminate()
        running.wait()


def _answers(proxy: Address) -> bool:
    try:
        if proxy.url.startswith("https"):
            ssl.get_server_certificate(("127.0.0.1", int(proxy.host.rpartition(":")[2])), timeout=1)
        else:
            proxy.get("/")
    except OSError:
        return False
    return True


def _certificate(folder: Path) -> str:
    """One that nobody trusts, which is the browser's business."""
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab.example", "-days", "2", *files],
        check=True,
        capture_output=True,
    )
    return f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"
