"""Pieces per second that a router process relays, compared with only reading the same streams.

Every follower is a connection that receives the server-sent events of a task of its own. The
streams are full when the measurement starts. `relay_vs_redis_N` is the rate at which N followers
together receive pieces, divided by the rate at which one process reads the same N streams from
Redis with XREAD and drops them. Both take turns in one run. `fan_out_1000` is the rate of 1,000
followers of one task, divided by the rate of only reading its stream. `idle_cores_2000` is the
share of a core that 2,000 open streams without news take, heartbeats included.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.report import publish
from cortensor_site.stack.ports import Ports
from cortensor_site.stack.servers.embedded import start_postgres, start_redis

ROUNDS = int(os.environ.get("ROUNDS", "5"))
IDLE_S = float(os.environ.get("IDLE_S", "60"))
IDLE_STREAMS = 2_000
SIZES = {1: 50_000, 100: 1_000, 1_000: 300}
"""The number of pieces in each stream, by the number of followers."""
FANNED_OUT_PIECES = 100
MARK = "~"
PIECE = "tok" + MARK
MINER = "0x" + "aa" * 20
MOST_WAIT_S = 120


class Reader(asyncio.Protocol):
    """A client that receives a stream and counts its pieces."""

    def __init__(self, awaited: int) -> None:
        self.opened = asyncio.Event()
        self.complete = asyncio.Event()
        self.pieces = 0
        self._awaited = awaited

    def data_received(self, data: bytes) -> None:
        assert self.opened.is_set() or data.startswith(b"HTTP/1.1 200 "), data[:500]
        self.opened.set()
        self.pieces += data.count(MARK.encode())
        if self.pieces >= self._awaited:
            self.complete.set()


class Router:
    """A web process with its database and Redis, a client's key, and tasks to follow."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        ports = Ports(router=0, redis=0).reserve(["router", "redis"])
        self.port = ports.router
        os.environ["VAR_DIR"] = str(folder / "var")
        os.environ["DATABASE_URL"] = start_postgres(stack, folder / "postgres")
        os.environ["REDIS_URL"] = start_redis(stack, folder / "redis", ports.redis)
        os.environ["LOG_LEVEL"] = "ERROR"
        for what in ("requests_per_minute", "open_streams"):
            for whose in ("key", "account"):
                os.environ[f"LIMIT_{whose}_{what}".upper()] = "0"  # one client stands for many here
        self.secret, self.session_id = _prepare()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cortensor_site.server", "--port", str(self.port)],
            stderr=subprocess.DEVNULL,
        )
        stack.callback(self.process.wait, 20)
        stack.callback(self.process.terminate)
        self._numbers = iter(range(1, 10**6))

    def tasks(self, count: int) -> list[int]:
        """Create tasks that no miner works on, and return their numbers."""
        from sessions.models import Task, TaskOrigin

        ids = [next(self._numbers) for _ in range(count)]
        Task.objects.bulk_create(
            Task(
                session_id=self.session_id,
                task_id=task_id,
                task_digest="0x" + "00" * 32,
                origin=TaskOrigin.REST,
                task_data="hello",
                inline=True,
                max_tokens=16,
                max_input_tokens=4,
                model_identifier=1,
                timeout_s=3_600,
            )
            for task_id in ids
        )
        return ids

    async def open(self, task_id: int, awaited: int) -> tuple[asyncio.Transport, Reader]:
        """Open a connection that follows a task's stream."""
        loop = asyncio.get_running_loop()
        transport, reader = await loop.create_connection(
            lambda: Reader(awaited), "127.0.0.1", self.port
        )
        path = f"/api/v1/tasks/{self.session_id}/{task_id}/stream"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.secret}\r\n\r\n"
        )
        transport.write(head.encode())
        await asyncio.wait_for(reader.opened.wait(), MOST_WAIT_S)
        return transport, reader

    async def open_all(
        self, tasks: Sequence[int], awaited: int
    ) -> list[tuple[asyncio.Transport, Reader]]:
        """Open a connection for each task, a few at a time."""
        several = asyncio.Semaphore(16)

        async def one(task_id: int) -> tuple[asyncio.Transport, Reader]:
            async with several:
                return await self.open(task_id, awaited)

        return list(await asyncio.gather(*(one(task_id) for task_id in tasks)))

    def cpu_s(self) -> float:
        """Return the processor time that the web process has used, in seconds."""
        import psutil

        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


def _prepare() -> tuple[str, int]:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")
    django.setup()
    from django.core.management import call_command

    from sessions.models import ApiKey, Session

    call_command("migrate", verbosity=0)
    owner = "0x" + "c3" * 20
    _, secret = ApiKey.issue("bench", owner)
    Session.objects.create(
        session_id=1,
        sid="0x" + "01" * 32,
        owner=owner,
        redundancy=1,
        model_identifier=1,
        max_task_execution_count=1_000_000,
    )
    return secret, 1


def _fill(keys: Sequence[str], pieces: int) -> None:
    import redis

    store = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2)
    for key in keys:
        pipeline = store.pipeline(transaction=False)
        for _ in range(pieces):
            pipeline.xadd(key, {"text": PIECE})
        pipeline.xadd(key, {"done": "1", "finish_reason": "stop"})
        pipeline.execute()
    store.close()


def _go_live(session_id: int, tasks: Sequence[int], keys: Sequence[str]) -> None:
    import redis

    from sessions.streams import task_stream

    store = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2)
    pipeline = store.pipeline(transaction=False)
    for task_id, key in zip(tasks, keys, strict=True):
        source = {"type": "source", "miner": MINER, "key": key}
        pipeline.xadd(task_stream.task_stream_key(session_id, task_id), dict(source))
    pipeline.execute()
    store.close()


async def _relayed(router: Router, followers: int, pieces: int, one_task: bool = False) -> float:
    """Return the pieces per second that all followers together receive."""
    from asgiref.sync import sync_to_async

    from sessions.streams import task_stream

    tasks = await sync_to_async(router.tasks)(1 if one_task else followers)
    keys = [task_stream.miner_stream_key(MINER, task_id) for task_id in tasks]
    _fill(keys, pieces)
    opened = await router.open_all(tasks * (followers if one_task else 1), pieces)
    started = time.monotonic()
    _go_live(router.session_id, tasks, keys)
    async with asyncio.timeout(MOST_WAIT_S):
        for _, reader in opened:
            await reader.complete.wait()
    elapsed = time.monotonic() - started
    for transport, reader in opened:
        assert reader.pieces == pieces, f"{reader.pieces} pieces of {pieces}"
        transport.abort()
    return followers * pieces / elapsed


async def _read_bare(streams_: int, pieces: int) -> float:
    """Return the pieces per second that one process reads and drops."""
    import redis.asyncio

    keys = [f"bare:{number}" for number in range(streams_)]
    store = redis.asyncio.Redis.from_url(
        os.environ["REDIS_URL"], protocol=2, single_connection_client=True
    )
    await store.delete(*keys)
    _fill(keys, pieces)
    positions: dict[Any, Any] = {key.encode(): b"0-0" for key in keys}
    read, started = 0, time.monotonic()
    while read < streams_ * (pieces + 1):
        for key, entries in await store.xread(positions, count=256):
            read += len(entries)
            positions[key] = entries[-1][0]
    elapsed = time.monotonic() - started
    await store.aclose()
    return streams_ * pieces / elapsed


async def _idle_cores(router: Router) -> float:
    from asgiref.sync import sync_to_async

    tasks = await sync_to_async(router.tasks)(IDLE_STREAMS)
    opened = await router.open_all(tasks, 1)
    await asyncio.sleep(2)
    used, started = router.cpu_s(), time.monotonic()
    await asyncio.sleep(IDLE_S)
    cores = (router.cpu_s() - used) / (time.monotonic() - started)
    for transport, reader in opened:
        assert not transport.is_closing()
        assert reader.pieces == 0
        transport.abort()
    return cores


async def measure(router: Router) -> None:
    rows, ratios = [], {}
    while True:
        try:
            await router.open_all([], 0)
            _, writer = await asyncio.open_connection("127.0.0.1", router.port)
            writer.close()
            break
        except OSError:
            await asyncio.sleep(0.1)
    for followers, pieces in SIZES.items():
        relayed, bare = [], []
        for _ in range(ROUNDS):
            bare.append(await _read_bare(followers, pieces))
            relayed.append(await _relayed(router, followers, pieces))
        ratio = statistics.median(relayed) / statistics.median(bare)
        ratios[f"relay_vs_redis_{followers}"] = ratio
        rows.append([f"{followers:,} streams", _rate(relayed), _rate(bare), f"{ratio:.3f}"])
    fanned, bare = [], []
    for _ in range(ROUNDS):
        bare.append(await _read_bare(1, SIZES[1]))
        fanned.append(await _relayed(router, 1_000, FANNED_OUT_PIECES, one_task=True))
    ratios["fan_out_1000"] = statistics.median(fanned) / statistics.median(bare)
    rows.append(
        ["1,000 followers of one", _rate(fanned), _rate(bare), f"{ratios['fan_out_1000']:.3f}"]
    )
    ratios["idle_cores_2000"] = await _idle_cores(router)
    rows.append(
        [f"{IDLE_STREAMS:,} idle streams", f"{ratios['idle_cores_2000']:.2%} of a core", "", ""]
    )
    publish("streams", ["", "relayed, pieces/s", "XREAD only, pieces/s", "ratio"], rows, ratios)


def _rate(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f}  ({min(values):,.0f} … {max(values):,.0f})"


def main() -> None:
    from cortensor_site.stack.limits import allow_files

    allow_files()
    with tempfile.TemporaryDirectory(prefix="cortensor-bench-") as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)
        asyncio.run(measure(Router(stack, Path(folder))))


if __name__ == "__main__":
    main()
