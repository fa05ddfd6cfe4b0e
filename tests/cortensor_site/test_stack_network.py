"""The environment variables of `make run`, and how it treats a process that ends."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from cortensor_site.stack import network
from cortensor_site.stack.network import Network, is_passed_on, preferred
from cortensor_site.stack.servers.embedded import BASE_DIR, StartFailed
from cortensor_site.stack.supervisor import Status


def test_the_first_of_several_endpoints_is_preferred() -> None:
    assert preferred("https://a.example, https://b.example") == "https://a.example"
    assert preferred("http://127.0.0.1:8545") == "http://127.0.0.1:8545"


@pytest.mark.parametrize(
    "name", ["CONFIRMATIONS", "RPC_WS_URL", "METRICS_TOKEN", "LIMIT_KEY_OPEN_TASKS"]
)
def test_what_operators_set_reaches_the_processes(name: str) -> None:
    assert is_passed_on(name)


def test_a_container_takes_every_setting_of_the_chain() -> None:
    compose = (BASE_DIR / "docker-compose.yml").read_text()
    for name in ("RPC_URL", "RPC_WS_URL", "CONFIRMATIONS"):
        assert re.search(rf"^    {name}: \$\{{{name}:-", compose, re.MULTILINE), name


def test_what_belongs_to_the_shell_alone_stays_there() -> None:
    assert not is_passed_on("AWS_SECRET_ACCESS_KEY")


class Restarting:
    """A supervisor whose `miner-1` has another process whenever it is asked."""

    def __init__(self) -> None:
        self._pids = itertools.count(100)

    def statuses(self) -> dict[str, Status]:
        return {"sync": Status("RUNNING", 7), "miner-1": Status("RUNNING", next(self._pids))}

    def last_words(self, name: str, length: int = 2000) -> str:
        return f"{name}: the model crashed the process that tried it (SIGILL)"


def test_a_part_that_starts_again_and_again_ends_the_start_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_asked", lambda *_: {})
    supervisor: Any = Restarting()
    restless = Network(tmp_path, "http://router", "http://chain", "", "", supervisor, [])
    with pytest.raises(StartFailed, match=r"miner-1 keeps stopping: .*SIGILL"):
        network._wait_until_healthy(restless, lambda _: None)
