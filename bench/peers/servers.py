"""Starts the servers that are compared. Each is a process that answers `POST /v1/completions`."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-bench-miner/bin/python"
START_S = 60.0


@dataclass(frozen=True)
class Peer:
    """A running server."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Return the processor time that the server has used so far, in seconds."""
        return cpu_s(self.pid)


@contextmanager
def llama_server(model: Path, slots: int, context: int, threads: int) -> Iterator[Peer]:
    """Run llama.cpp's own server with parallel slots."""
    port = _free_port()
    script = str(Path(__file__).with_name("xllamacpp_server.py"))
    numbers = map(str, (slots, context, threads, port))
    with _running([script, str(model), *numbers], port) as peer:
        yield peer


@contextmanager
def llama_cpp_python_server(model: Path, context: int, threads: int) -> Iterator[Peer]:
    """Run llama-cpp-python's server, without its interruption of a stream by the next request."""
    port = _free_port()
    arguments = ["-m", "llama_cpp.server", "--model", str(model), "--n_ctx", str(context)]
    arguments += ["--n_threads", str(threads), "--n_threads_batch", str(threads)]
    arguments += ["--interrupt_requests", "False", "--verbose", "False", "--port", str(port)]
    with _running(arguments, port) as peer:
        yield peer


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used so far, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _running(arguments: list[str], port: int) -> Iterator[Peer]:
    if not PYTHON.exists():
        raise SystemExit(f"{PYTHON} is missing; run `make bench-miner`, which installs the peers")
    process = subprocess.Popen(
        [str(PYTHON), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": ""},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield Peer(url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"a peer exited with status {process.returncode} before it answered")
        try:
            if httpx.get(f"{url}/v1/models", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"a peer did not answer within {START_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
