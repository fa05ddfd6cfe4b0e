"""Tries whether and how a model runs on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mining.node.llm import trial
from mining.node.llm.llama import Context, Model, Run


@pytest.mark.parametrize(("together_s", "apart"), [(0.5, True), (0.3, False)])
def test_four_together_have_to_take_longer_than_one_after_another(
    monkeypatch: pytest.MonkeyPatch, together_s: float, apart: bool
) -> None:
    def time(_: Context, runs: Sequence[Run]) -> float:
        return 0.1 if len(runs) == 1 else together_s

    monkeypatch.setattr(trial, "_time", time)
    nothing: Any = None
    assert trial.is_faster_apart(nothing, slots=8) is apart
    assert not trial.is_faster_apart(nothing, slots=1)


@pytest.mark.parametrize(
    ("step_s", "threads"),
    [
        ({8: 0.10, 4: 0.01, 2: 0.01, 1: 0.01}, 8),  # long enough not to ask
        ({8: 0.010, 4: 0.012, 2: 0.03, 1: 0.06}, 8),
        ({8: 0.012, 4: 0.012, 2: 0.02, 1: 0.04}, 4),  # two hardware threads a core
        ({8: 0.009, 4: 0.005, 2: 0.002, 1: 0.001}, 1),
    ],
)
def test_more_threads_have_to_be_worth_it(
    monkeypatch: pytest.MonkeyPatch, step_s: dict[int, float], threads: int
) -> None:
    class Timed:
        threads = 0

        def use_threads(self, threads: int) -> None:
            self.threads = threads

    timed: Any = Timed()
    monkeypatch.setattr(trial, "processors", lambda: 8)
    monkeypatch.setattr(trial, "_time", lambda context, _: step_s[context.threads])
    assert trial.fastest_threads(timed, slots=8) == timed.threads == threads


def test_a_trial_leaves_the_context_empty(model_path: Path) -> None:
    model = Model(model_path)
    context = Context(model, sequence_tokens=8, sequences=4, batch_tokens=16, threads=1)
    try:
        assert isinstance(trial.is_faster_apart(context, slots=4), bool)
        assert 1 <= trial.fastest_threads(context, slots=4) <= trial.processors()
        # There is room for exactly so many tokens, from the first place on.
        context.decode([Run(slot, 0, [1, 2, 3, 4], outputs=0) for slot in range(4)])
    finally:
        context.close()
        model.close()
