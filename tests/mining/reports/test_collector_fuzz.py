"""Any report of a miner is accepted or refused with a reason, and blocks no other report."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mining.errors import ReportRefused
from mining.judging.answers import AnswerUnfit, parse_answer, read_stream
from mining.network import reports as network_reports
from mining.node.network.job import NETWORK_REPORTS
from mining.node.protocol.reports import _REPORTS, HeartbeatReport, NodeStatus, read_report
from mining.node.protocol.wire import Malformed
from mining.reports import effects
from sessions.models import Task

texts = st.text(st.characters(codec=None), max_size=40)
"""With halves of characters and NULs."""
numbers = st.integers() | st.sampled_from([2**31, 2**63, 2**256, -(10**400), 10**400])
scalars = st.none() | st.booleans() | numbers | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
hexes = st.binary(max_size=70).map(lambda data: "0x" + data.hex())
uuids = st.uuids().map(str)


def shaped(kind):
    """Objects that are nearly reports of a kind, so that they get far."""
    plausible = {
        "str": texts | uuids | st.just("{}"),
        "bytes": hexes,
        "int": numbers,
        "bool": st.booleans(),
        "float": st.floats() | numbers,
    }
    members = {}
    for name, hint in kind.__annotations__.items():
        likely = plausible.get(getattr(hint, "__name__", str(hint)), values)
        if hint == list[int]:
            likely = st.lists(numbers, max_size=4)
        if hint == dict[int, float]:
            likely = st.dictionaries(numbers.map(str) | texts, numbers | st.floats(), max_size=4)
        members[name] = likely | values
    return st.fixed_dictionaries({}, optional=members) | st.fixed_dictionaries(members)


def entries(kinds):
    return st.one_of(
        [
            st.tuples(st.just(name), shaped(kind).map(json.dumps)).map(
                lambda pair: {"type": pair[0], "body": pair[1]}
            )
            for name, kind in kinds.items()
        ]
    ) | st.dictionaries(texts, texts, max_size=3)


many = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.django_db
@many
@given(entries(_REPORTS))
def test_any_report_is_taken_or_refused_by_name(entry):
    try:
        report = effects.prepare("0x" + "ab" * 20, read_report(entry))
        with transaction.atomic():
            effects.accept("0x" + "ab" * 20, report, datetime.now(UTC))
    except (Malformed, ReportRefused) as refusal:
        str(refusal).encode()


@pytest.mark.django_db
@many
@given(shaped(NodeStatus).map(json.dumps) | texts)
def test_any_status_that_its_node_has_signed_is_taken_or_refused_by_name(status):
    report = HeartbeatReport(status=status, signature=b"")
    refused = suppress(Malformed, ReportRefused)
    with patch("mining.reports.effects._require_signed"), refused, transaction.atomic():
        effects.accept("0x" + "ab" * 20, report, datetime.now(UTC))


@pytest.mark.django_db
@many
@given(entries(NETWORK_REPORTS))
def test_any_report_of_a_network_task_is_taken_or_refused_by_name(entry):
    try:
        network_reports.accept("0x" + "ab" * 20, entry, datetime.now(UTC))
    except (Malformed, ReportRefused) as refusal:
        str(refusal).encode()


TASK = Task(session_id=3, task_id=7, task_digest="0x" + "01" * 32, max_tokens=8)
MINER = "0x" + "ab" * 20
right = {
    "session_id": st.just(3) | values,
    "task_id": st.just(7) | values,
    "task_digest": st.just(TASK.task_digest) | values,
    "miner": st.just(MINER) | values,
    "result": texts | values,
    "finish_reason": st.sampled_from(["stop", "length", "cancelled"]) | values,
    "token_ids": st.lists(numbers, max_size=3) | values,
}
logprobs = st.lists(st.lists(values, max_size=3) | values, max_size=3) | values


@many
@given(
    st.binary(max_size=60)
    | st.one_of(
        values, st.fixed_dictionaries(right), st.fixed_dictionaries(right | {"logprobs": logprobs})
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_content_is_an_answer_or_unfit(content):
    try:
        answer = parse_answer(content, TASK, MINER)
        answer.text.encode()
    except AnswerUnfit as error:
        str(error).encode()


pieces = st.fixed_dictionaries(
    {},
    optional={
        b"text": st.binary(max_size=10),
        b"logprobs": st.binary(max_size=10) | logprobs.map(lambda rows: json.dumps(rows).encode()),
        b"done": st.binary(max_size=2),
    },
)


@many
@given(st.lists(pieces, max_size=4))
def test_any_stream_can_be_read_or_is_unfit(stream):
    try:
        read_stream(stream)
    except AnswerUnfit as error:
        str(error).encode()
