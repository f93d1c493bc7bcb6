"""The kernel paces what goes over the loopback of a namespace: never faster than asked, and a change counts at once."""

import json
import subprocess
import sys

import pytest

from engine.vllm import road

MEGABYTE = 1_000_000
PROGRAM = """
import json, socket, sys, threading, time
from engine.vllm import road
first, then = map(float, sys.argv[1:])
road.open_road(first)
door = socket.create_server(("127.0.0.1", 0))
def send():
    line, _ = door.accept()
    with line:
        line.sendall(bytes(4_000_000))
threading.Thread(target=send, daemon=True).start()
times, got, began = [], 0, time.monotonic()
with socket.create_connection(door.getsockname()) as line:
    for part in (1_000_000, 4_000_000):
        while got < part:
            got += len(line.recv(min(65_536, part - got)))
        times.append(time.monotonic() - began)
        road.pace(then)
print(json.dumps(times))
"""


@pytest.mark.skipif(bool(road.refused()), reason=f"no link can be paced here: {road.refused()}")
def test_nothing_goes_faster_than_the_pace_and_a_change_acts_on_what_is_under_way() -> None:
    first, then = MEGABYTE / 2, 12 * MEGABYTE
    command = [*road.ENTER, sys.executable, "-c", PROGRAM, str(first), str(then)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    first_s, all_s = json.loads(done.stdout)
    passes = 2 * road.BURST_BYTES  # at once, whenever the bucket is full
    assert first_s >= (MEGABYTE - passes) / first
    assert all_s - first_s >= (3 * MEGABYTE - passes) / then
    assert (all_s - first_s) / 3 < first_s, "a megabyte takes less time after the change to 24 times the pace"
