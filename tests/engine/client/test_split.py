"""A prefill and a decode server, asked in turn: what each is told, and which failures are failures."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from engine.client.answer import NoAnswer
from engine.client.split import pieces
from engine.request import Request

ASKED = Request("r1", (5, 6, 7), 4)
KEPT = {"remote_engine_id": "prefill-0", "remote_block_ids": [[1]]}
STREAM = (
    b'data: {"choices": [{"text": "a"}]}\n\n'
    b'data: {"choices": [{"text": "b", "finish_reason": "length"}]}\n\n'
    b"data: [DONE]\n\n"
)


def streamed(data: bytes) -> httpx2.Response:
    return httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})


def asked_of(
    decode: Callable[[], httpx2.Response], prefill: Callable[[], httpx2.Response] | None = None
) -> tuple[list[str], list[dict[str, Any]], int]:
    """The answer's pieces, the bodies that were sent, and how often the prefill server was heard."""
    sent: list[dict[str, Any]] = []
    heard: list[None] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["X-Request-Id"] == "r1"
        sent.append(json.loads(request.content))
        return prefill() if prefill and request.url.host == "prefill" else decode()

    async def ask() -> list[str]:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(serve)) as client:
            where = "http://prefill" if prefill else ""
            return [
                text async for text in pieces(client, where, "http://decode", "m", ASKED, lambda: heard.append(None))
            ]

    return asyncio.run(ask()), sent, len(heard)


def kept() -> httpx2.Response:
    return httpx2.Response(200, json={"kv_transfer_params": KEPT})


def test_the_decode_server_hears_where_the_kv_lies() -> None:
    texts, (first, second), heard = asked_of(lambda: streamed(STREAM), kept)
    assert texts == ["a", "b"]
    assert (first["max_tokens"], first["kv_transfer_params"]["do_remote_decode"]) == (1, True)
    assert (second["max_tokens"], second["kv_transfer_params"]) == (4, KEPT)
    assert first["prompt"] == second["prompt"] == [5, 6, 7]
    assert heard == 1


def test_one_server_that_does_both_is_asked_once() -> None:
    texts, (only,), heard = asked_of(lambda: streamed(STREAM))
    assert (texts, heard) == (["a", "b"], 0)
    assert "kv_transfer_params" not in only


@pytest.mark.parametrize(
    ("prefill", "says"),
    [
        (lambda: httpx2.Response(200, json={"choices": []}), "kept no KV"),
        (lambda: httpx2.Response(200, json={"kv_transfer_params": None}), "kept no KV"),
        (lambda: httpx2.Response(500, json={"error": {"message": "out of blocks"}}), "HTTP 500, out of blocks"),
        (lambda: httpx2.Response(200, content=b"<html>"), "gave no answer"),
    ],
)
def test_a_prefill_that_keeps_nothing_is_a_failure(prefill: Callable[[], httpx2.Response], says: str) -> None:
    """Else the decode server would prefill by itself, and the run would look split."""
    with pytest.raises(NoAnswer, match=says):
        asked_of(lambda: streamed(STREAM), prefill)


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"error": {"message": "engine died"}}\n\ndata: [DONE]\n\n',
        b'data: {"choices": [{"text": "a", "finish_reason": "abort"}]}\n\ndata: [DONE]\n\n',
        b"data: [DONE]\n\n",
        b'data: {"choices": [{"text": "a"}]}\n\n',
    ],
)
def test_a_failure_inside_a_good_answer_is_a_failure(stream: bytes) -> None:
    with pytest.raises(NoAnswer):
        asked_of(lambda: streamed(stream), kept)
