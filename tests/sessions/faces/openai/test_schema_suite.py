"""JSON Schema's own test suite: what is enforced, and that the rest is refused by name."""

from collections import Counter

import pytest

from bench.parts.json_schema_suite import Case, Outcome, cases


@pytest.fixture(scope="module")
def tried() -> list[Case]:
    return list(cases())


def test_nothing_of_the_suite_is_dropped_in_silence(tried: list[Case]) -> None:
    assert len(tried) > 1_200
    assert [case.name for case in tried if case.outcome is Outcome.DROPPED] == []


def test_a_refusal_names_a_member(tried: list[Case]) -> None:
    refused = [case for case in tried if case.outcome is Outcome.REFUSED]
    assert [case.name for case in refused if not case.param.startswith("schema.")] == []


def test_what_a_grammar_can_hold_of_the_suite_is_held(tried: list[Case]) -> None:
    counted = Counter(case.outcome for case in tried if case.is_counted)
    assert counted.total() > 700
    assert counted[Outcome.HELD] / counted.total() >= 0.95
    assert counted[Outcome.NARROWER] == 0
