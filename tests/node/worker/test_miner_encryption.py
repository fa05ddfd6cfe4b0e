"""Encrypted jobs are sealed on the way to a miner and back, and never in clear on its disk."""

import json
from typing import Any

import pytest

from chain.protocol.digests import canonical_json, commit_hash
from chain.protocol.envelopes import Context, Role, encryption_key, public_key, seal, unseal
from mining.node.protocol.reports import CommitReport, FailedReport, PrecommitReport
from tests.node.bench import Bench, new_job

CLIENT = encryption_key(b"\x07" * 32)
CONTEXT = Context(31337, 3, 1_000_004, Role.PROMPT)
RESULT_CONTEXT = Context(31337, 3, 1_000_004, Role.RESULT)


def sealed_job(reader: bytes, content: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """A job whose prompt only `reader` can open, and whose result only CLIENT may read."""
    content = content or canonical_json({"prompt": "Where is the hen?", "stop": ["#"]})
    return new_job(
        prompt="",
        sealed_prompt=seal(content, CONTEXT, [public_key(reader)]).decode(),
        seal_for=["0x" + public_key(CLIENT).hex()],
        **changes,
    )


def test_an_encrypted_job_leaves_nothing_in_clear_on_the_miners_disk(bench: Bench) -> None:
    job = sealed_job(bench.wallet.encryption_key)
    bench.miner.infer(job)
    bench.miner.reveal(job["assignment_id"])
    _, precommit, commit = bench.reports()
    assert isinstance(precommit, PrecommitReport)
    assert isinstance(commit, CommitReport)
    assert commit_hash(3, 1_000_004, bench.address, commit.data) == precommit.hash
    content = json.loads(unseal(commit.content.encode(), RESULT_CONTEXT, CLIENT))
    assert content["result"] == "".join(entry.get("text", "") for entry in bench.stream(job))
    assert content["miner"] == bench.address
    stashed = (bench.home / "stash" / f"{job['assignment_id']}.json").read_text()
    assert commit.content in json.loads(stashed).values()
    assert "token_ids" not in stashed


def test_a_sealed_prompt_is_answered_like_a_clear_one(bench: Bench) -> None:
    clear, sealed = new_job(stop=["#"]), sealed_job(bench.wallet.encryption_key)
    for job in (clear, sealed):
        bench.miner.infer(job)
    in_clear, unsealed = joined(bench.stream(clear)), joined(bench.stream(sealed))
    assert in_clear[0]
    assert in_clear == unsealed


def joined(stream: list[dict[str, str]]) -> tuple[str, dict[str, str]]:
    """A stream's text and its end; how the text is cut into pieces is a matter of speed."""
    return "".join(entry.get("text", "") for entry in stream), stream[-1]


@pytest.mark.parametrize(
    "content", [None, b"[]", b"{", b'{"prompt": 7}', b'{"prompt": "x", "stop": "y"}']
)
def test_a_sealed_prompt_that_cannot_be_read_is_reported_without_its_content(
    bench: Bench, content: bytes | None
) -> None:
    reader = CLIENT if content is None else bench.wallet.encryption_key
    bench.miner.infer(sealed_job(reader, content))
    assert bench.codes() == ["sealed_prompt_unreadable"]
    [report] = bench.reports()
    assert isinstance(report, FailedReport)
    assert "hen" not in report.message
