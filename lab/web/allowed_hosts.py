"""The names under which a browser may know the lab.

A site can have its own name resolve to this machine; its page would then be one of the lab's. What it cannot have is
one of these names. An address in digits is safe: no name was resolved.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

import streamlit as st

PORTS = {"http": 80, "https": 443}


class Hosts:
    """`host in hosts`, of a Host header, tells whether the lab answers to it. `named`: more names, without ports."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._names = {name.lower() for name in (*named, "localhost", socket.gethostname()) if name}

    def __contains__(self, header: object) -> bool:
        name = name_in(str(header))
        bound = str(st.get_option("server.address") or "").lower()
        return name.endswith(".localhost") or name in self._names or (bool(name) and name == bound) or _in_digits(name)


def name_in(header: str) -> str:
    """The name or address in a Host header, without port and brackets; "" for what is no such header."""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def same_place(origin: str, header: str) -> bool:
    """Whether an Origin and a Host header name the same host and port, the scheme's own port being that of none."""
    try:
        asks, asked = urlsplit(origin), urlsplit(f"{urlsplit(origin).scheme}://{header}")
        return bool(asks.hostname) and _place(asks) == _place(asked)
    except ValueError:
        return False


def same_origin(origin: str, other: str) -> bool:
    """Whether two origins are one: a slash at the end and the scheme's own port say nothing."""
    try:
        one, two = (urlsplit(said.strip().rstrip("/")) for said in (origin, other))
        return bool(one.hostname) and (one.scheme, _place(one)) == (two.scheme, _place(two))
    except ValueError:
        return False


def _place(url: SplitResult) -> tuple[str | None, int | None]:
    return url.hostname, url.port or PORTS.get(url.scheme)


def _in_digits(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
