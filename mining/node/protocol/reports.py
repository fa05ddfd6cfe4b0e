"""The reports that a miner sends to its router. The router does not trust them."""

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
    """A node's capacity and its recent speed.

    Args:
        sent_at_ms: Unix time in milliseconds. It is higher than in the node's last status.
        slots: how many jobs the node works on at once.
        in_flight: how many jobs the node has now.
        draining: whether the node finishes its jobs and takes no more.
        models: the identifiers of all models that the node serves.
        loaded: the models in memory, each with its recent speed in tokens per second.
        canonical: whether the node draws tokens by the protocol's rule, so that others can check
            them.
        software: the name and version of the node's software.
        encryption_key: the public key (0x hex) for which prompts are sealed.
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
    """The node is alive.

    `status` is a `NodeStatus` as JSON text. The signature is over the Heartbeat
    (`chain.protocol.messages`) of exactly this text.
    """

    TYPE: ClassVar[str] = "heartbeat"

    status: str
    signature: bytes

    def read(self) -> NodeStatus:
        """Parse the status. Raises Malformed."""
        return NodeStatus.from_json(read_json(self.status, "status"))


@dataclass(frozen=True, kw_only=True)
class AckReport(Wire):
    """The miner has taken the job. The signature is over `chain.protocol.messages.Ack`."""

    TYPE: ClassVar[str] = "ack"

    assignment_id: str
    signature: bytes

    def __post_init__(self) -> None:
        require_uuid(self.assignment_id)


@dataclass(frozen=True, kw_only=True)
class PrecommitReport(Wire):
    """The miner has fixed its result. The signature is over `chain.protocol.messages.Precommit`."""

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
    """The miner reveals its result. The signature is over `chain.protocol.messages.Commit`.

    `content` is the result as canonical JSON. `data` is what the Commit holds: that text itself,
    or its content address.
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
                raise Malformed(name, "has a NUL character", "send U+FFFD in its place")


@dataclass(frozen=True, kw_only=True)
class FailedReport(Wire):
    """The miner has failed and sends no result.

    The code NODE_DIED means that its process died while it worked on the job. `attempt` is the
    job's.
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
    """Return a report as an entry of the reports stream."""
    return {"type": report.TYPE, "body": json.dumps(report.to_json(), ensure_ascii=False)}


def read_report(entry: Mapping[str, str]) -> Report:
    """Read an entry of the reports stream. Raises Malformed."""
    return read_entry(entry, _REPORTS)
