"""What the router hands to a miner, and what the miner reports back.

Everything here crosses the trust boundary in both directions, so that reading validates: a
value that is missing or of the wrong kind raises `Malformed`, which names it. The router
imports this module too.
"""

import json
import math
import re
import types
import uuid
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

from chain.envelopes import InvalidKey, read_public_key
from mining.node.sampling import SamplingParams

MAX_LOGPROBS = 20
SEED_BYTES = 8
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
W = TypeVar("W", bound="Wire")
_hints: Callable[[type], dict[str, Any]] = cache(get_type_hints)


class Malformed(ValueError):
    """A job or a report is not what it has to be; `field` names the culprit."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}; {remedy}")
        self.field = name


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A dataclass that travels as a JSON object; bytes travel as 0x hex.

    `TYPE` names those that are reports.
    """

    TYPE: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """The object, of plain JSON values."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read an object, ignoring members that this version does not know; raise Malformed.

        What has a default may be missing.
        """
        if not isinstance(value, Mapping):
            raise Malformed(cls.__name__, f"is {type(value).__name__}", "send a JSON object")
        hints = _hints(cls)
        given = [
            item.name
            for item in fields(cls)
            if item.name in value or (item.default is MISSING and item.default_factory is MISSING)
        ]
        return cls(**{name: _read(value, name, hints[name]) for name in given})


@dataclass(frozen=True, kw_only=True)
class Job(Wire):
    """One assignment: what to generate, and what to sign it as.

    `deadline_at` is in Unix seconds, parameters are in hundredths as on chain. `inline` says
    whether the result is revealed as text or by its content address. `logprobs`, `logit_bias`
    (by token), `grammar` (GBNF) and `min_p` are as in `GenerationRequest` and `SamplingParams`.
    `seed` is what draws are made from, if it is not the digest: 8 bytes that the client chose.
    `enough_characters` is where the answer may end since nobody waits for more; -1 is nowhere.

    Of an encrypted task, `prompt` and `stop` are empty; `sealed_prompt` is their envelope for this
    miner, and `seal_for` has the public keys (0x hex) that the result is to be sealed for.
    """

    assignment_id: str
    session_id: int
    task_id: int
    task_digest: bytes
    chain_id: int
    queue_address: str
    model_identifier: int
    prompt: str
    prompt_type: int
    prompt_template: str
    max_tokens: int
    temperature_x100: int
    top_p_x100: int
    top_k: int
    presence_penalty_x100: int
    frequency_penalty_x100: int
    stop: list[str] = field(default_factory=list)
    deadline_at: float
    inline: bool
    sealed_prompt: str = ""
    seal_for: list[str] = field(default_factory=list)
    logprobs: int = 0
    logit_bias: dict[int, float] = field(default_factory=dict)
    grammar: str = ""
    min_p: float = 0.0
    seed: bytes = b""
    enough_characters: int = -1

    def __post_init__(self) -> None:
        _require_uuid(self.assignment_id)
        if len(self.task_digest) != 32:
            raise Malformed("task_digest", f"has {len(self.task_digest)} bytes", "send 32")
        if len(self.seed) not in (0, SEED_BYTES):
            raise Malformed("seed", f"has {len(self.seed)} bytes", f"send {SEED_BYTES} or none")
        if not _ADDRESS.fullmatch(self.queue_address):
            raise Malformed("queue_address", "is no address", "send 0x and 40 hex digits")
        for name in ("session_id", "task_id", "prompt_type", "top_k", "logprobs"):
            _require_at_least(name, getattr(self, name), 0)
        for name in ("chain_id", "max_tokens"):
            _require_at_least(name, getattr(self, name), 1)
        for item in fields(self):
            if item.name.endswith("_x100"):
                _require_at_least(item.name, getattr(self, item.name), 0)
        if bool(self.sealed_prompt) != bool(self.seal_for):
            raise Malformed("seal_for", "does not go with sealed_prompt", "send both or neither")
        for key in self.seal_for:
            try:
                read_public_key(key)
            except InvalidKey as error:
                raise Malformed("seal_for", str(error), "send X25519 public keys") from error
        if self.logprobs > MAX_LOGPROBS:
            raise Malformed("logprobs", f"is {self.logprobs}", f"send at most {MAX_LOGPROBS}")
        if not 0 <= self.min_p <= 1:
            raise Malformed("min_p", f"is {self.min_p}", "send 0 to 1")
        if not all(token < 2**31 for token in self.logit_bias):
            raise Malformed("logit_bias", "has what is no token", "send token numbers as names")
        if not all(map(math.isfinite, self.logit_bias.values())):
            raise Malformed("logit_bias", "has a value that is no number", "send finite ones")

    @property
    def sampling(self) -> SamplingParams:
        """The parameters in natural units."""
        return SamplingParams(
            temperature=self.temperature_x100 / 100,
            top_p=self.top_p_x100 / 100,
            top_k=self.top_k,
            presence_penalty=self.presence_penalty_x100 / 100,
            frequency_penalty=self.frequency_penalty_x100 / 100,
            min_p=self.min_p,
            logit_bias=self.logit_bias,
        )


@dataclass(frozen=True, kw_only=True)
class NetworkFacts(Wire):
    """What a router writes into a mailbox for the node that opens it.

    `models` has the SHA-256 (hex) of the file of each model that sessions can ask for.
    """

    chain_id: int
    node_pool: str
    models: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_at_least("chain_id", self.chain_id, 1)
        if not _ADDRESS.fullmatch(self.node_pool):
            raise Malformed("node_pool", "is no address", "send 0x and 40 hex digits")


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
    """The node is there: a `NodeStatus` as JSON text; the signature is over `chain.messages`'
    Heartbeat of just this text."""

    TYPE: ClassVar[str] = "heartbeat"

    status: str
    signature: bytes

    def read(self) -> NodeStatus:
        """The status; raise Malformed."""
        return NodeStatus.from_json(_load(self.status, "status"))


@dataclass(frozen=True, kw_only=True)
class AckReport(Wire):
    """The job is taken; the signature is over `chain.messages.Ack`."""

    TYPE: ClassVar[str] = "ack"

    assignment_id: str
    signature: bytes

    def __post_init__(self) -> None:
        _require_uuid(self.assignment_id)


@dataclass(frozen=True, kw_only=True)
class PrecommitReport(Wire):
    """The result is fixed; the signature is over `chain.messages.Precommit`."""

    TYPE: ClassVar[str] = "precommit"

    assignment_id: str
    hash: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _require_uuid(self.assignment_id)
        if len(self.hash) != 32:
            raise Malformed("hash", f"has {len(self.hash)} bytes", "send 32")


@dataclass(frozen=True, kw_only=True)
class CommitReport(Wire):
    """The result; the signature is over `chain.messages.Commit` of `data`.

    `content` is the canonical JSON, `data` that text itself or its content address.
    """

    TYPE: ClassVar[str] = "commit"

    assignment_id: str
    data: str
    content: str
    signature: bytes

    def __post_init__(self) -> None:
        _require_uuid(self.assignment_id)


@dataclass(frozen=True, kw_only=True)
class FailedReport(Wire):
    """There will be no result from this miner."""

    TYPE: ClassVar[str] = "failed"

    assignment_id: str
    code: str
    message: str

    def __post_init__(self) -> None:
        _require_uuid(self.assignment_id)


Report = HeartbeatReport | AckReport | PrecommitReport | CommitReport | FailedReport
_REPORTS: dict[str, type[Report]] = {kind.TYPE: kind for kind in get_args(Report)}


def write_report(report: Wire) -> dict[str, str]:
    """A report as an entry of the reports stream."""
    return {"type": report.TYPE, "body": json.dumps(report.to_json(), ensure_ascii=False)}


def read_report(entry: Mapping[str, str]) -> Report:
    """Read an entry of the reports stream; raise Malformed."""
    return read_entry(entry, _REPORTS)


def read_entry(entry: Mapping[str, str], kinds: Mapping[str, type[W]]) -> W:
    """Read an entry that is one of some kinds of reports, by their types; raise Malformed."""
    kind = kinds.get(entry.get("type", ""))
    if kind is None:
        raise Malformed("type", "is unknown", f"send one of {', '.join(kinds)}")
    return kind.from_json(_load(entry.get("body", ""), "body"))


def _load(text: str, name: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(name, f"is no JSON ({error})", "send a JSON object") from error
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {str(key): member for key, member in value.items()}
    return list(value) if isinstance(value, list) else value


def _read(source: Mapping[str, Any], name: str, kind: Any) -> Any:
    if name not in source:
        raise Malformed(name, "is missing", "send it")
    value = source[name]
    if kind is bytes:
        if isinstance(value, str) and _HEX.fullmatch(value):
            return bytes.fromhex(value[2:])
        raise Malformed(name, "is no hex text", "send 0x and lower-case hex digits")
    if kind is float and type(value) is int:
        return float(value)
    plain = get_origin(kind) or kind
    if type(value) is not plain:
        wanted = plain.__name__ if isinstance(plain, type) else str(plain)
        raise Malformed(name, f"is {type(value).__name__}", f"send {wanted}")
    if isinstance(kind, types.GenericAlias):
        *_, inner = get_args(kind)
        if plain is dict:
            return {_number(key, name): _read({name: value[key]}, name, inner) for key in value}
        return [_read({name: member}, name, inner) for member in value]
    return value


def _number(text: object, name: str) -> int:
    """A member's name that stands for a token or a model."""
    if isinstance(text, str) and text.isdecimal() and len(text) < 20:
        return int(text)
    raise Malformed(name, f"has {text!r}, which is no number", "send numbers as names")


def _require_uuid(text: str) -> None:
    """An assignment's id names files and keys, so that it must not be just any text."""
    try:
        canonical = str(uuid.UUID(text))
    except ValueError:
        canonical = ""
    if text != canonical:
        raise Malformed("assignment_id", "is no UUID", "send one in lower case with hyphens")


def _require_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise Malformed(name, f"is {value}", f"send at least {least}")
