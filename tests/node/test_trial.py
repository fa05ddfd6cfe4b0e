"""Trying how a model runs here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mining.node import trial
from mining.node.llama import Context, Model, Run


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


def test_a_trial_leaves_the_context_empty(model_path: Path) -> None:
    model = Model(model_path)
    context = Context(model, sequence_tokens=8, sequences=4, batch_tokens=16, threads=1)
    try:
        assert isinstance(trial.is_faster_apart(context, slots=4), bool)
        # There is room for exactly so many tokens, from the first place on.
        context.decode([Run(slot, 0, [1, 2, 3, 4], wants_logits=False) for slot in range(4)])
    finally:
        context.close()
        model.close()
