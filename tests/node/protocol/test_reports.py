"""Reports are untrusted input: errors in them are named."""

import json
import time
import uuid
from typing import Any

import pytest

from mining.node.protocol.reports import (
    AckReport,
    CommitReport,
    FailedReport,
    HeartbeatReport,
    NodeStatus,
    PrecommitReport,
    Report,
    read_report,
    write_report,
)
from mining.node.protocol.wire import Malformed

ID = str(uuid.UUID(int=7))


def status(**changes: Any) -> NodeStatus:
    """What a node says of itself."""
    values = {
        "sent_at_ms": int(time.time() * 1000),
        "slots": 4,
        "in_flight": 1,
        "draining": False,
        "models": [1],
        "loaded": {1: 120.5},
        "canonical": True,
        "software": "cortensor-node/0",
        "encryption_key": "0x09" + "00" * 31,
    }
    return NodeStatus(**{**values, **changes})


REPORTS: list[Report] = [
    HeartbeatReport(status=json.dumps(status().to_json()), signature=b"\x01" * 65),
    AckReport(assignment_id=ID, signature=b"\x01" * 65),
    PrecommitReport(assignment_id=ID, hash=b"\x02" * 32, signature=b"\x01" * 65),
    CommitReport(assignment_id=ID, data="ipfs://b", content='{"é":1}', signature=b"\x01" * 65),
    FailedReport(assignment_id=ID, code="busy", message="m"),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.TYPE)
def test_a_report_survives_the_journey(report: Report) -> None:
    assert read_report(write_report(report)) == report


def test_a_status_is_read_out_of_its_heartbeat() -> None:
    told = status(draining=True)
    report = HeartbeatReport(status=json.dumps(told.to_json()), signature=b"")
    assert report.read() == told
    for text in ("", "[]", "[" * 100_000, '{"slots": 1}'):
        with pytest.raises(Malformed):
            HeartbeatReport(status=text, signature=b"").read()


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "gossip", "body": "{}"},
        {"type": "ack"},
        {"type": "ack", "body": "{"},
        {"type": "ack", "body": "[]"},
        {"type": "ack", "body": '{"assignment_id": "x", "signature": "0x"}'},
        {"type": "precommit", "body": json.dumps({**REPORTS[2].to_json(), "hash": "0x00"})},
    ],
)
def test_a_report_that_is_none_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        read_report(entry)
