"""The parts of network tasks that a router asks of an idle node, and the node's reports.

Both sides validate what they receive.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, get_args

from chain.protocol.network_messages import completion_hash
from mining.node.protocol.wire import Malformed, Wire

MAX_DOMAIN_BYTES = 128
MAX_CHALLENGE_BYTES = 2048
MAX_COMPLETION_BYTES = 4096
"""Cognitive refuses longer texts."""
MAX_CHALLENGES = 16


class Stage(StrEnum):
    """A part of a network task. A node must send `PING` to be drawn for the other parts."""

    PING = "ping"
    CREATE = "create"
    PREPARE = "prepare"
    COMPLETE = "complete"
    REVEAL = "reveal"


@dataclass(frozen=True, kw_only=True)
class NetworkJob(Wire):
    """One part of a network task.

    Args:
        stage: the part, a value of `Stage`.
        chain_id: the chain of the contract.
        contract: the address of Cognitive.
        number, seed: those of the request, if the part is to create a session. Otherwise those of
            the session.
        deadline_at: until when the part may be done, in Unix seconds.
        domain, subdomain: the subject of the prompts.
        challenges: how many prompts to prepare.
        prompt: the prompt to complete.
    """

    stage: str
    chain_id: int
    contract: str
    number: int = 0
    seed: int = 0
    deadline_at: float
    domain: str = ""
    subdomain: str = ""
    challenges: int = 1
    prompt: str = ""

    def __post_init__(self) -> None:
        _require_stage(self.stage)
        _require_identity(self.number, self.seed)


@dataclass(frozen=True, kw_only=True)
class NetworkPingReport(Wire):
    """The node is alive. The signature is over `chain.protocol.network_messages.Ping`."""

    TYPE: ClassVar[str] = "network_ping"

    time: int
    signature: bytes

    def __post_init__(self) -> None:
        _require_uint("time", self.time, 40)


@dataclass(frozen=True, kw_only=True)
class NetworkCreateReport(Wire):
    """The node creates a session (a virtual block). The signature is over `NetworkCreate`."""

    TYPE: ClassVar[str] = "network_create"

    number: int
    seed: int
    domain: str
    subdomain: str
    signature: bytes

    def __post_init__(self) -> None:
        _require_identity(self.number, self.seed)
        _require_text("domain", self.domain, MAX_DOMAIN_BYTES)
        _require_text("subdomain", self.subdomain, MAX_DOMAIN_BYTES)


@dataclass(frozen=True, kw_only=True)
class NetworkPrepareReport(Wire):
    """The node has prepared prompts. The signature is over `NetworkPrepare`."""

    TYPE: ClassVar[str] = "network_prepare"

    number: int
    seed: int
    challenges: list[str] = field(default_factory=list)
    signature: bytes

    def __post_init__(self) -> None:
        _require_identity(self.number, self.seed)
        if not 0 < len(self.challenges) <= MAX_CHALLENGES:
            count = len(self.challenges)
            raise Malformed("challenges", f"has {count}", f"send 1 to {MAX_CHALLENGES}")
        for text in self.challenges:
            _require_text("challenges", text, MAX_CHALLENGE_BYTES)


@dataclass(frozen=True, kw_only=True)
class NetworkPrecommitReport(Wire):
    """The node has fixed its completion. The signature is over `NetworkPrecommit`."""

    TYPE: ClassVar[str] = "network_precommit"

    number: int
    seed: int
    hash: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _require_identity(self.number, self.seed)
        if len(self.hash) != 32:
            raise Malformed("hash", f"has {len(self.hash)} bytes", "send 32")


@dataclass(frozen=True, kw_only=True)
class NetworkCommitReport(Wire):
    """The node reveals its completion and the salt. The signature is over `NetworkCommit`."""

    TYPE: ClassVar[str] = "network_commit"

    number: int
    seed: int
    completion: str
    salt: int
    signature: bytes

    def __post_init__(self) -> None:
        _require_identity(self.number, self.seed)
        _require_uint("salt", self.salt, 256)
        _require_text("completion", self.completion, MAX_COMPLETION_BYTES)

    def hash_of(self, miner: str) -> bytes:
        """Return the hash that the node must have precommitted."""
        return completion_hash(self.number, self.seed, miner, self.completion, self.salt)


@dataclass(frozen=True, kw_only=True)
class NetworkDeclinedReport(Wire):
    """The node declines a part. `code` and `message` say why."""

    TYPE: ClassVar[str] = "network_declined"

    stage: str
    number: int
    seed: int
    code: str
    message: str

    def __post_init__(self) -> None:
        _require_stage(self.stage)
        _require_identity(self.number, self.seed)


NetworkReport = (
    NetworkPingReport
    | NetworkCreateReport
    | NetworkPrepareReport
    | NetworkPrecommitReport
    | NetworkCommitReport
    | NetworkDeclinedReport
)
NETWORK_REPORTS: dict[str, type[NetworkReport]] = {
    kind.TYPE: kind for kind in get_args(NetworkReport)
}


def _require_stage(stage: str) -> None:
    if stage not in list(Stage):
        raise Malformed("stage", f"is {stage!r}", f"send one of {', '.join(Stage)}")


def _require_identity(number: int, seed: int) -> None:
    _require_uint("number", number, 63)
    _require_uint("seed", seed, 256)


def _require_uint(name: str, value: int, bits: int) -> None:
    if not 0 <= value < 1 << bits:
        raise Malformed(name, "is out of range", f"send 0 to 2^{bits} - 1")


def _require_text(name: str, text: str, most: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Malformed(name, "has a lone surrogate", "send Unicode text") from error
    if not 0 < size <= most or "\x00" in text:
        raise Malformed(name, f"has {size} bytes or a NUL", f"send 1 to {most} bytes of text")
