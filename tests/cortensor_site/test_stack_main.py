"""`make run` when its example fails, and when it is started twice."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cortensor_site.stack import __main__ as command
from cortensor_site.stack.example import ExampleFailed
from cortensor_site.stack.var_dir import VarDirInUse, hold

NETWORK = object()


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The networks that stayed up; one is started by `main`, and its example fails."""
    networks: list[Any] = []

    @contextmanager
    def started(*_: Any, **__: Any) -> Iterator[Any]:
        yield NETWORK

    def fail(*_: Any) -> None:
        raise ExampleFailed("the task [failed]:\nno miner was free")

    monkeypatch.setattr(command, "running_network", started)
    monkeypatch.setattr(command, "raise_once", lambda: None)
    monkeypatch.setattr(command, "_play", fail)
    monkeypatch.setattr(command, "_open_pay_per_call", fail)
    monkeypatch.setattr(command, "_rest", networks.append)
    monkeypatch.setattr("sys.argv", ["stack", "--model", "tiny.gguf"])
    return networks


def test_the_network_stays_up_when_its_example_fails_and_says_why_in_a_line(
    rested: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command.main()
    assert rested == [NETWORK]
    said = " ".join(capsys.readouterr().out.split())
    assert "the example failed ExampleFailed: the task [failed]: no miner was free" in said


def test_one_that_was_started_for_its_receipt_ends_with_an_error(
    rested: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCE", "1")
    assert command.main() == 1
    assert rested == []


def test_a_folder_has_one_network_at_a_time(tmp_path: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        hold(first, tmp_path, print)
        with pytest.raises(VarDirInUse) as refused:
            hold(second, tmp_path, print)
        assert str(tmp_path) in str(refused.value)
        assert "VAR_DIR=" in str(refused.value)
    with ExitStack() as third:
        hold(third, tmp_path, print)


def test_of_a_network_that_was_killed_the_processes_are_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    with ExitStack() as killed, ExitStack() as next_one:
        hold(killed, tmp_path, print)
        (tmp_path / "lock").write_text("999999999")  # nobody's

        def report(line: str) -> None:
            said.append(line)
            killed.close()

        hold(next_one, tmp_path, report)
    assert len(said) == 1
    assert str(tmp_path) in said[0]
