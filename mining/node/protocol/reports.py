"""What a miner reports to its router, which reads it as a stranger's word."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

from mining.node.protocol.wire import (
    Malformed,
    Wire,
    read_entry,
    read_json,
    require_at_least,
    require_uuid,
)

NODE_DIED = "node_died"


@dataclass(frozen=True, kw_only=True)
class NodeStatus(Wire):
    """What a node can take, and how fast it has lately been.

    Args:
        sent_at_ms: Unix milliseconds; no two of a node are the same, and later ones are higher.
        draining: it finishes what it has, and takes no more.
        models: all that it serves.
        loaded: those of them in memory, with the tokens a second that each has lately made.
        canonical: whether it draws tokens by the protocol's rule, so that others can check them.
        encryption_key: the public key (0x hex) that prompts are sealed for.
    """

    sent_at_ms: int
    slots: int
    in_flight: int
    draining: bool
    models: list[int]
    loaded: dict[int, float]
    canonical: bool
    software: str
    encryption_key: str


@dataclass(frozen=True, kw_only=True)
class HeartbeatReport(Wire):
    """The node is there: a `NodeStatus` as JSON text.

    The signature is over the Heartbeat (`chain.protocol.messages`) of just this text.
    """

    TYPE: ClassVar[str] = "heartbeat"

    status: str
    signature: bytes

    def read(self) -> NodeStatus:
        """The status; raise Malformed."""
        return NodeStatus.from_json(read_json(self.status, "status"))


@dataclass(frozen=True, kw_only=True)
class AckReport(Wire):
    """The job is taken; the signature is over `chain.protocol.messages.Ack`."""

    TYPE: ClassVar[str] = "ack"

    assignment_id: str
    signature: bytes

    def __post_init__(self) -> None:
        require_uuid(self.assignment_id)


@dataclass(frozen=True, kw_only=True)
class PrecommitReport(Wire):
    """The result is fixed; the signature is over `chain.protocol.messages.Precommit`."""

    TYPE: ClassVar[str] = "precommit"

    assignment_id: str
    hash: bytes
    signature: bytes

    def __post_init__(self) -> None:
        require_uuid(self.assignment_id)
        if len(self.hash) != 32:
            raise Malformed("hash", f"has {len(self.hash)} bytes", "send 32")


@dataclass(frozen=True, kw_only=True)
class CommitReport(Wire):
    """The result; the signature is over `chain.protocol.messages.Commit` of `data`.

    `content` is the canonical JSON, `data` that text itself or its content address.
    """

    TYPE: ClassVar[str] = "commit"

    assignment_id: str
    data: str
    content: str
    signature: bytes

    def __post_init__(self) -> None:
        require_uuid(self.assignment_id)
        for name in ("data", "content"):
            if "\x00" in getattr(self, name):
                raise Malformed(name, "has a NUL, which no answer has", "send U+FFFD in its place")


@dataclass(frozen=True, kw_only=True)
class FailedReport(Wire):
    """There will be no result from this miner.

    With the code NODE_DIED, its process died while it worked on the job; `attempt` is the job's.
    """

    TYPE: ClassVar[str] = "failed"

    assignment_id: str
    code: str
    message: str
    attempt: int = 0

    def __post_init__(self) -> None:
        require_uuid(self.assignment_id)
        require_at_least("attempt", self.attempt, 0)


Report = HeartbeatReport | AckReport | PrecommitReport | CommitReport | FailedReport
_REPORTS: dict[str, type[Report]] = {kind.TYPE: kind for kind in get_args(Report)}


def write_report(report: Wire) -> dict[str, str]:
    """A report as an entry of the reports stream."""
    return {"type": report.TYPE, "body": json.dumps(report.to_json(), ensure_ascii=False)}


def read_report(entry: Mapping[str, str]) -> Report:
    """Read an entry of the reports stream; raise Malformed."""
    return read_entry(entry, _REPORTS)
