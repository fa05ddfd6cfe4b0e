"""Servers that a test run or `make run` has started end with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from cortensor_site.stack.servers.embedded import BASE_DIR, REDIS_BOUNDS

ENDLESS = r"""
import os, time
from pathlib import Path
import redis

def test_something_long():
    [folder] = [p for p in Path(os.environ["VAR_DIR"]).parents if p.name.startswith("cortensor-")]
    postgres = (folder / "postgres/postmaster.pid").read_text().split()[0]
    server = redis.Redis.from_url(os.environ["REDIS_URL"]).info("server")["process_id"]
    Path(__file__).with_name("said").write_text(f"{folder} {postgres} {server}\n")
    time.sleep(600)
"""
PATIENCE_S = 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_run_of_tests_ends_its_servers(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.servers"]
    options = ["--config-file", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)]
    run = subprocess.Popen(
        command + options,
        cwd=BASE_DIR,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        said = tmp_path / "said"
        until(lambda: said.exists() and said.read_text().endswith("\n"))
        folder, *servers = said.read_text().split()
        assert all(runs(int(server)) for server in servers)

        run.send_signal(number)
        assert run.wait(PATIENCE_S) != 0
        until(lambda: not any(runs(int(server)) for server in servers))
        # Who is killed puts nothing away.
        assert Path(folder).exists() == (number == signal.SIGKILL)
    finally:
        run.kill()
        run.wait()


def runs(pid: int) -> bool:
    try:
        # A process that has ended may wait for somebody to take note.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_redis_has_an_end_and_throws_nothing_away() -> None:
    with redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client:
        told = client.config_get("maxmemory*") | client.config_get("proto-max-bulk-len")
    assert int(told["maxmemory"]) == 1024**3
    assert told["maxmemory-policy"] == "noeviction"
    assert int(told["proto-max-bulk-len"]) == 16 * 1024**2


def test_the_containers_redis_has_the_same_bounds() -> None:
    compose = (BASE_DIR / "docker-compose.yml").read_text()
    for line in REDIS_BOUNDS[1:]:
        name, _, value = line.partition(" ")
        said = compose.replace("\n", " ")
        assert f"--{name} " in said
        assert value in said
