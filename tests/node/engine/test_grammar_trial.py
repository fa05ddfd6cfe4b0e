"""A stranger's grammar costs a bounded time of a process of its own, and nothing else."""

import signal
from collections.abc import Iterator

import pytest

from mining.node.engine import grammar_trial
from mining.node.engine.grammar_trial import GrammarTrial, TrialFailed

ENDLESS = "start: r0\n" + "".join(f"r{n}: r{n + 1}\n" for n in range(4_000))
"""The library takes minutes to say that the last name is unknown."""


@pytest.fixture
def trial() -> Iterator[GrammarTrial]:
    trial = GrammarTrial()
    yield trial
    trial.close()


@pytest.mark.parametrize(
    "lark",
    [
        ENDLESS,
        'start: %json {"type": "number", "pattern": "^//(?=a)b$$$$", "multipleOf": 2147483648}',
    ],
)
def test_a_grammar_that_takes_minutes_is_refused_and_the_next_one_is_read(
    trial: GrammarTrial, lark: str
) -> None:
    with pytest.raises(TrialFailed, match="more than 2 s"):
        trial.require_quick(lark)
    trial.require_quick('start: "a"')


def test_a_process_that_has_died_is_replaced(trial: GrammarTrial) -> None:
    trial.require_quick('start: "a"')
    assert trial._process is not None
    trial._process.send_signal(signal.SIGSEGV)
    trial._process.wait()
    trial.require_quick('start: "b"')


def test_a_process_that_dies_of_a_grammar_takes_only_that_grammar_with_it(
    trial: GrammarTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.require_quick('start: "a"')
    line_of = grammar_trial._line_of

    def dies(process: "grammar_trial.subprocess.Popen[bytes]", within_s: float) -> str | None:
        process.send_signal(signal.SIGSEGV)
        process.wait()
        return line_of(process, within_s)

    monkeypatch.setattr(grammar_trial, "_line_of", dies)
    with pytest.raises(TrialFailed, match="ends the process"):
        trial.require_quick(f'start: "{"b" * 100_000}"')
    monkeypatch.undo()
    trial.require_quick('start: "c"')


def test_a_grammar_that_passed_is_not_tried_again(trial: GrammarTrial) -> None:
    trial.require_quick('start: "a"')
    trial.close()
    trial.require_quick('start: "a"')
    assert trial._process is None


def test_an_unreadable_grammar_passes_since_its_error_is_told_elsewhere(
    trial: GrammarTrial,
) -> None:
    trial.require_quick("start: unknown")
    trial.require_quick("\ud800")
