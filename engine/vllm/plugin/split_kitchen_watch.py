"""A vLLM general plugin that writes what the scheduler and NIXL do, as JSON lines. Split Kitchen never imports it.

Put this folder on PYTHONPATH, and vLLM loads it in each of its processes. It does nothing unless SPLIT_KITCHEN_WATCH
names a folder; SPLIT_KITCHEN_WATCH_NAME names this engine in the lines (where VLLM_PLUGINS is set, it has to contain
split_kitchen_watch). It needs nothing but what vLLM has.

It must never disturb the engine: hooks that raise are reported once and the engine goes on; a vLLM without one of the
names reports it as missing; lines go to a bounded queue that a thread writes out, and what does not fit is counted.

Times are time.monotonic(): CLOCK_MONOTONIC, one clock for all processes of a host, and NIXL's own.

    python split_kitchen_watch.py --check      which of the names this environment's vLLM and NIXL have
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import queue
import sys
import threading
import time

FOLDER, ENGINE = os.environ.get("SPLIT_KITCHEN_WATCH"), os.environ.get("SPLIT_KITCHEN_WATCH_NAME", "vllm")
WAITING_LINES = 10_000
CORE = "vllm.v1.core.sched.scheduler"
FACTORY = "vllm.distributed.kv_transfer.kv_connector.factory"
CONNECTORS = ("NixlConnectorScheduler", "NixlPullConnectorScheduler", "NixlPushConnectorScheduler")
HOOKED = (
    *((CORE, "Scheduler", name) for name in ("__init__", "add_request", "schedule", "update_from_output")),
    *((CORE, "Scheduler", name) for name in ("_connector_finished", "_free_blocks", "_preempt_request")),
    (FACTORY, "KVConnectorFactory", "create_connector"),
    *(("nixl._api", "nixl_agent", name) for name in ("make_prepped_xfer", "transfer", "check_xfer_state")),
)


# ---- lines


class Writer:
    """One file a process, written by a thread. A fork starts with a file of its own."""

    def __init__(self, folder, engine, waiting_lines=WAITING_LINES):
        self._folder, self._engine, self._most = folder, engine, waiting_lines
        self._pid, self._lock = None, threading.Lock()

    def say(self, kind, t=None, **fields):
        if self._pid != os.getpid():
            self._open()
        line = {"k": kind, "t": round(time.monotonic() if t is None else t, 6), "w": self._engine, **fields}
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _open(self):
        with self._lock:
            if self._pid == os.getpid():
                return
            self._queue, self._dropped = queue.Queue(self._most), 0
            file = open(f"{self._folder}/{self._engine}.{os.getpid()}.jsonl", "a", buffering=1)  # noqa: SIM115 (the thread's)
            self._thread = threading.Thread(target=self._write, args=(file, self._queue), daemon=True)
            self._thread.start()
            self._pid = os.getpid()
            atexit.register(self.close)

    def _write(self, file, lines):
        while (line := lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                note = {"k": "dropped", "t": round(time.monotonic(), 6), "w": self._engine, "lines": dropped}
                file.write(json.dumps(note, separators=(",", ":")) + "\n")
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
        file.close()

    def close(self):
        """Write what is waiting; a process that ends in an orderly way loses nothing."""
        if self._pid == os.getpid():
            self._queue.put(None)
            self._thread.join(2.0)
            self._pid = None


writer = Writer(FOLDER, ENGINE)
say = writer.say


# ---- hooks


_reported = set()


def safely(hook, *args, **kwargs):
    """The hook's result; whatever it raises is reported once, and never reaches the engine."""
    try:
        return hook(*args, **kwargs)
    except Exception as wrong:
        if (key := (hook.__name__, type(wrong).__name__)) not in _reported:
            _reported.add(key)
            with contextlib.suppress(Exception):  # no folder, say: then there is nowhere to report it
                say("broken", hook=hook.__name__.strip("_"), why=f"{type(wrong).__name__}: {wrong}"[:200])
        return None


def wrap(owner, name, before=None, after=None):
    """Replace owner.name. `before(self, *args)` -> kept; `after(self, kept, result, *args)`."""
    original = getattr(owner, name, None)
    if original is None:
        safely(say, "missing", what=f"{owner.__name__}.{name}")
        return
    if getattr(original, "_watched", False):
        return

    @functools.wraps(original)
    def wrapper(self, *args, **kwargs):
        kept = safely(before, self, *args, **kwargs) if before else None
        result = original(self, *args, **kwargs)
        if after:
            safely(after, self, kept, result, *args, **kwargs)
        return result

    wrapper._watched = True
    setattr(owner, name, wrapper)


# ---- the engine core: its scheduler

_numbers = {}  # id(SchedulerOutput) -> step number, from schedule() until update_from_output()
_steps = 0


def _up(self, kept, result, *args, **kwargs):
    config, cache = self.vllm_config, self.kv_cache_config
    transfer = config.kv_transfer_config
    ranks = config.parallel_config.tensor_parallel_size
    page = sum(group.kv_cache_spec.page_size_bytes * len(group.layer_names) for group in cache.kv_cache_groups)
    say(
        "up",
        blocks=cache.num_blocks,
        block_tokens=self.block_size,
        block_bytes=page * ranks,
        pid=os.getpid(),
        role=getattr(transfer, "kv_role", None),
        connector=getattr(transfer, "kv_connector", None),
        chunk=config.scheduler_config.max_num_batched_tokens,
        vllm=getattr(sys.modules.get("vllm"), "__version__", ""),
    )


def _blocks_used(self):
    pool = self.kv_cache_manager.block_pool
    return pool.num_gpu_blocks - pool.get_num_free_blocks() - 1  # without the null block


def _queued(self, kept, result, request, *args, **kwargs):
    say("queued", r=request.request_id)


def _scheduled(self, kept, output, *args, **kwargs):
    global _steps
    if not output.total_num_scheduled_tokens:
        return
    cached = output.scheduled_cached_reqs
    starts = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
    starts.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
    _steps += 1
    _numbers[id(output)] = _steps
    plan = [[request, starts.get(request, 0), tokens] for request, tokens in output.num_scheduled_tokens.items()]
    waiting = len(self.waiting) + len(getattr(self, "skipped_waiting", ()))
    say("step", n=_steps, plan=plan, waiting=waiting, used=_blocks_used(self))


def _computed(self, output, model_output, *args, **kwargs):
    number = _numbers.pop(id(output), None)
    if number is None:
        return
    sampled = model_output.sampled_token_ids or []
    index = model_output.req_id_to_index
    tokens = {request: [int(token) for token in sampled[i]] for request, i in index.items() if i < len(sampled)}
    say("done", n=number, tokens={request: ids for request, ids in tokens.items() if ids})


def _preempted(self, kept, result, request, *args, **kwargs):
    say("preempted", r=request.request_id)


def _freed(self, kept, result, request, *args, **kwargs):
    say("free", r=request.request_id, used=_blocks_used(self))


def _finished(self, kept, result, request, *args, **kwargs):
    say("finished", r=request.request_id, reason=str(request.get_finished_reason()), made=request.num_output_tokens)
    params = result[1] if isinstance(result, tuple) else None
    if params and params.get("do_remote_prefill"):
        say("offer", r=request.request_id, blocks=sum(len(group) for group in params["remote_block_ids"]))


# ---- the KV connector's scheduler side, and NIXL in the workers


def _remote_name(self, request, *args, **kwargs):
    return (request.kv_transfer_params or {}).get("remote_request_id")  # the connector clears it


def _accepted(self, remote, result, request, blocks, external_tokens, *args, **kwargs):
    if external_tokens > 0:
        say("accept", r=request.request_id, params_from=remote)


_transfers = {}  # id(handle) -> [name on the prefill engine, when it was posted]


def _prepared(self, kept, handle, *args, **kwargs):
    note = kwargs.get("notif_msg") or b""
    _transfers[id(handle)] = [note.decode("utf-8", "replace").rsplit(":", 1)[0], None]


def _now(self, *args, **kwargs):
    return time.monotonic()


def _posted(self, now, result, handle, *args, **kwargs):
    if id(handle) in _transfers:
        _transfers[id(handle)][1] = now
        say("posted", t=now, r=_transfers[id(handle)][0])


def _polled(self, kept, state, handle, *args, **kwargs):
    if state == "PROC" or (transfer := _transfers.pop(id(handle), None)) is None:
        return
    request, posted_s = transfer
    telemetry = self.get_xfer_telemetry(handle) if state == "DONE" else None
    ended_s = posted_s + telemetry.xferDuration / 1e6 if telemetry else time.monotonic()
    nbytes = getattr(telemetry, "totalBytes", None)
    say("landed", t=ended_s, r=request, ok=state == "DONE", t0=posted_s, bytes=nbytes)


def _watch_connector(connector):
    side = getattr(connector, "connector_scheduler", None)
    if type(side).__name__ in CONNECTORS:
        wrap(type(side), "update_state_after_alloc", before=_remote_name, after=_accepted)
    if nixl := sys.modules.get("nixl._api"):
        wrap(nixl.nixl_agent, "make_prepped_xfer", after=_prepared)
        wrap(nixl.nixl_agent, "transfer", before=_now, after=_posted)
        wrap(nixl.nixl_agent, "check_xfer_state", after=_polled)


def _created(original):
    @functools.wraps(original)
    def create_connector(*args, **kwargs):
        connector = original(*args, **kwargs)
        safely(_watch_connector, connector)
        return connector

    create_connector._watched = True
    return create_connector


# ---- the way in


def register():
    """vLLM calls this once in each of its processes, before the model is loaded."""
    if FOLDER:
        safely(_register)


def _register():
    scheduler = importlib.import_module(CORE).Scheduler
    wrap(scheduler, "__init__", after=_up)
    wrap(scheduler, "add_request", after=_queued)
    wrap(scheduler, "schedule", after=_scheduled)
    wrap(scheduler, "update_from_output", before=_computed)
    wrap(scheduler, "_connector_finished", after=_finished)
    wrap(scheduler, "_free_blocks", after=_freed)
    wrap(scheduler, "_preempt_request", after=_preempted)
    factory = importlib.import_module(FACTORY).KVConnectorFactory
    if not getattr(factory.create_connector, "_watched", False):
        factory.create_connector = staticmethod(_created(factory.create_connector))


def check():
    """Print each name that is hooked, and whether it is here. The exit code is 1 if one of vLLM's is not."""
    lacks = 0
    for module, owner, name in HOOKED:
        try:
            here = hasattr(getattr(importlib.import_module(module), owner), name)
        except (ImportError, AttributeError):
            here = False
        lacks += not here and module.startswith("vllm")
        print(f"{'here' if here else 'MISSING'}  {owner}.{name}")
    return int(lacks > 0)


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        sys.exit("split_kitchen_watch.py --check")
    sys.exit(check())
