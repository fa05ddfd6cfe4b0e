"""What `make run` takes from the environment."""

import re

import pytest

from cortensor_site.stack.network import is_passed_on, preferred
from cortensor_site.stack.servers.embedded import BASE_DIR


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
