"""Decodes the logs of this project's contracts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from eth_abi.codec import ABIDecoder
from eth_abi.decoding import StringDecoder
from eth_abi.registry import registry as default_registry
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic
from eth_utils.address import to_checksum_address

from chain.deployed.contracts import Deployment, abi
from chain.following import blooms
from chain.mirror.records import EventRecord

FOLLOWED = (
    "Roles",
    "NodePool",
    "SessionPayment",
    "SessionQueue",
    "Session",
    "NodeStats",
    "NetworkRewards",
    "Cognitive",
)
"""The contracts whose events are stored. Transfers of CortensorToken are of no concern here."""


def _codec() -> ABIDecoder:
    """Return a decoder that accepts invalid UTF-8 in strings.

    Clients can put any bytes into a transaction, and none of them may stop the mirror.
    """
    registry = default_registry.copy()  # type: ignore[no-untyped-call]
    registry.unregister_decoder("string")
    lenient = StringDecoder("replace")  # type: ignore[no-untyped-call]
    registry.register_decoder("string", lenient, label="string")
    return ABIDecoder(registry)


_CODEC = _codec()


@dataclass(frozen=True)
class Layout:
    """The layout of an event in a log: (name, type) of the arguments in topics, and of those in
    data."""

    name: str
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]


class LogDecoder:
    """Decodes the logs of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._contracts = {deployment.addresses[name].lower(): name for name in FOLLOWED}
        self._layouts = {name: layouts(name) for name in FOLLOWED}
        self.addresses = [deployment.addresses[name] for name in FOLLOWED]

    def is_ours(self, address: str) -> bool:
        """Return whether this address is one of the contracts in `FOLLOWED`."""
        return address.lower() in self._contracts

    def promised(self, bloom: int) -> set[tuple[str, str]]:
        """Return the events that a block's filter indicates.

        Each is a pair of contract address (lower case) and first topic.
        """
        return {
            (address, topic)
            for address, contract in self._contracts.items()
            if blooms.may_have(bloom, address)
            for topic in self._layouts[contract]
            if blooms.may_have(bloom, topic)
        }

    def decode(self, log: Mapping[str, Any], timestamp: datetime) -> EventRecord | None:
        """Decode a log in JSON-RPC's format. Return None if the ABI has no such event.

        Raises:
            KeyError: the log is from another contract.
        """
        contract = self._contracts[log["address"].lower()]
        layout = self._layouts[contract].get(log["topics"][0]) if log["topics"] else None
        if layout is None:
            return None
        return EventRecord(
            contract=contract,
            name=layout.name,
            args=arguments(layout, log),
            block_number=int(log["blockNumber"], 16),
            block_hash=log["blockHash"],
            log_index=int(log["logIndex"], 16),
            tx_hash=log["transactionHash"],
            timestamp=timestamp,
        )


@cache
def layouts(contract: str) -> dict[str, Layout]:
    """Return the layouts of a contract's events by their first topic."""
    events = [element for element in abi(contract) if element["type"] == "event"]
    return {"0x" + event_abi_to_log_topic(event).hex(): _layout(event) for event in events}


def arguments(layout: Layout, log: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the arguments of an event to the format of `EventRecord.args`."""
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"][1:]]
    indexed = [
        _CODEC.decode([kind], topic)[0]
        for (_, kind), topic in zip(layout.indexed, topics, strict=True)
    ]
    data = bytes.fromhex(log["data"][2:])
    plain = _CODEC.decode([kind for _, kind in layout.plain], data)
    values = zip(layout.indexed + layout.plain, [*indexed, *plain], strict=True)
    return {name: _readable(kind, value) for (name, kind), value in values}


def _layout(event: Any) -> Layout:
    inputs = [(part["name"], collapse_if_tuple(part), part["indexed"]) for part in event["inputs"]]
    return Layout(
        name=event["name"],
        indexed=tuple((name, kind) for name, kind, indexed in inputs if indexed),
        plain=tuple((name, kind) for name, kind, indexed in inputs if not indexed),
    )


def _readable(kind: str, value: Any) -> Any:
    if kind.endswith("[]"):
        return [_readable(kind.removesuffix("[]"), element) for element in value]
    if kind == "address":
        return _checksum(value)
    if kind.startswith("bytes"):
        return "0x" + value.hex()
    if kind == "string":
        return value.replace("\x00", "\ufffd")  # PostgreSQL's text and jsonb cannot store NUL
    return value


@lru_cache(maxsize=10_000)
def _checksum(address: str) -> str:
    return str(to_checksum_address(address))
