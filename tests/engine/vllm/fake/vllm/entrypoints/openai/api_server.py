"""A stand-in for vLLM's server: it answers on a Unix socket and writes the lines that the plugin would write.

It computes nothing: every token is the letter after the last. A prompt of `BREAKS` tokens kills it.
"""

import http.server
import json
import os
import socketserver
import sys
import threading
import time
from typing import Any

BREAKS = 13
BLOCK_TOKENS, BLOCK_BYTES, BLOCKS = 16, 1000, 64
flags = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
name = os.environ["SPLIT_KITCHEN_WATCH_NAME"]
role = json.loads(flags.get("--kv-transfer-config", "{}")).get("kv_role")
lines = open(f"{os.environ['SPLIT_KITCHEN_WATCH']}/{name}.1.jsonl", "a", buffering=1)  # noqa: SIM115 (all its life)
one_at_a_time = threading.Lock()
steps = 0


def say(kind: str, **fields: object) -> None:
    lines.write(json.dumps({"k": kind, "t": time.monotonic(), "w": name, **fields}) + "\n")


def step(request: str, start: int, tokens: int, made: int) -> None:
    global steps
    steps += 1
    say("step", n=steps, plan=[[request, start, tokens]], waiting=0, used=1)
    say("done", n=steps, tokens={request: [made]})


class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = f"cmpl-{self.headers['X-Request-Id']}-0-aaaaaaaa"
        prompt, handed = len(asked["prompt"]), asked.get("kv_transfer_params")
        if prompt == BREAKS:
            sys.stderr.write("ValueError: no such luck\n")
            os._exit(1)
        with one_at_a_time:
            say("queued", r=request)
            if handed and handed.get("do_remote_decode"):
                self._prefill(request, prompt)
            else:
                self._decode(request, prompt, asked["max_tokens"], handed)

    def _prefill(self, request: str, prompt: int) -> None:
        blocks = -(-prompt // BLOCK_TOKENS)
        step(request, 0, prompt, 1)
        say("finished", r=request, reason="length", made=1)
        say("offer", r=request, blocks=blocks)
        said = json.dumps({"kv_transfer_params": {"from": request, "blocks": blocks}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _decode(self, request: str, prompt: int, most: int, handed: dict[str, object] | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        computed = 0
        if handed:
            source, computed = handed["from"], prompt - 1
            say("accept", r=request, params_from=source)
            say("posted", r=source)
            began_s = time.monotonic()
            say("landed", r=source, ok=True, t0=began_s, bytes=int(str(handed["blocks"])) * BLOCK_BYTES)
        for made in range(most):
            step(request, computed, prompt - computed if made == 0 else 1, 65 + made % 26)
            computed = prompt + made
            choice = {"text": "x", "finish_reason": "length" if made == most - 1 else None}
            self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        say("finished", r=request, reason="length", made=most)
        say("free", r=request, used=0)
        self.wfile.write(b"data: [DONE]\n\n")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, tuple[str, int]]:
        connection, _ = super().get_request()
        return connection, ("client", 0)  # what the handler shows in place of an address


if __name__ == "__main__":
    chunk = int(flags["--max-num-batched-tokens"])
    say("up", blocks=BLOCKS, block_tokens=BLOCK_TOKENS, block_bytes=BLOCK_BYTES, pid=os.getpid(), role=role,
        connector="NixlConnector" if role else None, chunk=chunk, vllm="0.0.0")  # fmt: skip
    Server(flags["--uds"], Api).serve_forever()
