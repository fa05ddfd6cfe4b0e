"""The JSON representations of network tasks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from eth_utils.address import to_checksum_address

from mining.models import NetworkJudgement, NetworkPart, NetworkTask


def shown(task: NetworkTask) -> dict[str, Any]:
    """Return a network task as an entry of a list."""
    accuracy_of: Mapping[str, int] = dict(zip(task.completers, task.accuracies_bps, strict=False))
    return {
        "number": task.number,
        "state": task.state,
        "creator": _address(task.creator),
        "completers": [
            {"miner": _address(node), "accuracy_bps": accuracy_of.get(node)}
            for node in task.completers
        ],
        "validator": _address(task.validator),
        "verdict_tx": task.verdict_tx or None,
        "created_at": _iso(task.created_at),
        "ended_at": _iso(task.ended_at),
    }


def shown_whole(task: NetworkTask) -> dict[str, Any]:
    """Return a network task with the parts of all nodes.

    If this router's validator has judged the task, the judgement is included.
    """
    parts = NetworkPart.objects.filter(number=task.number).order_by("asked_at", "role", "node")
    judgement = NetworkJudgement.objects.filter(number=task.number).order_by("-judged_at").first()
    return {
        **shown(task),
        "started_at": _iso(task.started_at),
        "precommitted_at": _iso(task.precommitted_at),
        "committed_at": _iso(task.committed_at),
        "judged_at": _iso(task.judged_at),
        "parts": [_part(part) for part in parts],
        "judgement": None if judgement is None else _judgement(judgement),
    }


def _part(part: NetworkPart) -> dict[str, Any]:
    return {
        "miner": _address(part.node),
        "role": part.role,
        "asked_at": _iso(part.asked_at),
        "done_at": _iso(part.done_at),
        "revealed_at": _iso(part.revealed_at),
    }


def _judgement(judgement: NetworkJudgement) -> dict[str, Any]:
    return {
        "domain": judgement.domain,
        "subdomain": judgement.subdomain,
        "prompt": judgement.prompt,
        "completions": [
            {"miner": _address(node), "text": text}
            for node, text in sorted(judgement.completions.items())
        ],
        "method": judgement.method,
        "reference": judgement.reference or None,
    }


def _address(text: str) -> str | None:
    return to_checksum_address(text) if text else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
