"""Ctrl-C at any moment of a start leaves no process, and the next start works."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cortensor_site.stack.interrupts import uninterrupted
from cortensor_site.stack.servers.embedded import BASE_DIR
from mining.node.config import SHIPPED_MODEL
from tests.free_ports import free_ports

SEED = int(os.environ.get("INTERRUPTS_SEED", "12"))
PATIENCE_S = 200.0
MOMENTS = ("starting", "preparing", "router and", "healthy")
"""Words of the start's lines, in their order: it is interrupted some time after each."""
LATEST_S = 2.0


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, even where these tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupted(then: Callable[[], object]) -> None:
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        then()


def test_a_signal_waits_until_what_belongs_together_is_done(ctrl_c: None) -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted(lambda: done.append(1))
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_counts_even_if_the_step_has_failed(ctrl_c: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted(lambda: 1 / 0)


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("var")
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(0o755)  # PostgreSQL runs as another user when we are root
    chosen = {f"{part.upper()}_PORT": str(port) for part, port in vars(free_ports()).items()}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    model = {"MODEL": str(SHIPPED_MODEL)}
    yield {**kept, **chosen, **model, "VAR_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    for process in of_folder(folder):
        process.kill()


def test_wherever_a_start_is_interrupted_no_process_is_left_and_the_next_one_goes_on(
    environment: dict[str, str],
) -> None:
    chance = random.Random(SEED)
    folder = Path(environment["VAR_DIR"])
    for moment, number in zip(
        MOMENTS, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT), strict=True
    ):
        run = subprocess.Popen(
            [sys.executable, "-m", "cortensor_site.stack"],
            cwd=BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said: list[str] = []
        reached = threading.Event()
        threading.Thread(target=_read, args=(run, moment, said, reached), daemon=True).start()
        try:
            assert reached.wait(PATIENCE_S), said
            time.sleep(chance.uniform(0, LATEST_S))
            run.send_signal(number)
            assert run.wait(PATIENCE_S) == 0, said
        finally:
            run.kill()
            run.wait()
        # Those that a pipe or the kernel tells of our end need a moment.
        until = time.monotonic() + PATIENCE_S
        while left := of_folder(folder):
            assert time.monotonic() < until, [process.cmdline() for process in left]
            time.sleep(0.1)


def _read(
    run: "subprocess.Popen[str]", moment: str, said: list[str], reached: threading.Event
) -> None:
    assert run.stdout is not None
    for line in run.stdout:
        said.append(line)
        if moment in line:
            reached.set()


def of_folder(folder: Path) -> list[psutil.Process]:
    """The processes that have to do with a network's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in each for each in told):
            found.append(process)
    return found
