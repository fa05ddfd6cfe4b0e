"""Jobs are untrusted input: errors in them are named."""

import json
import uuid
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.node.protocol.job import Job
from mining.node.protocol.sampling_params import SamplingParams
from mining.node.protocol.wire import Malformed

ID = str(uuid.UUID(int=7))


def job(**changes: Any) -> dict[str, Any]:
    """A job as it comes out of the mailbox."""
    return {
        "assignment_id": ID,
        "session_id": 1,
        "task_id": 1_000_000,
        "task_digest": "0x" + "11" * 32,
        "chain_id": 31337,
        "queue_address": "0x" + "Ab" * 20,
        "model_identifier": 1,
        "prompt": "Grüße",
        "prompt_form": 0,
        "prompt_template": "",
        "max_tokens": 40,
        "temperature_x100": 70,
        "top_p_x100": 95,
        "top_k": 40,
        "presence_penalty_x100": 10,
        "frequency_penalty_x100": 20,
        "stop": ["\n\n"],
        "deadline_at": 1_800_000_000.5,
        "inline": True,
        "sealed_prompt": "",
        "seal_for": [],
        "logprobs": 2,
        "logit_bias": {"17": -1.5},
        "grammar": {"library": "llguidance", "version": "1.9.1", "lark": 'start: "a"'},
        "min_p": 0.05,
        "seed": "0x0000000000000007",
        "enough_characters": 120,
        "attempt": 1,
        "alone": True,
        **changes,
    }


def test_a_job_survives_the_journey() -> None:
    read = Job.from_json(json.loads(json.dumps(job())))
    assert read.to_json() == job()
    assert read.task_digest == b"\x11" * 32
    assert read.sampling == SamplingParams(0.7, 0.95, 40, 0.1, 0.2, 0.05, {17: -1.5})


@pytest.mark.parametrize(("number", "form"), [(0, 128), (1, 0), (2, 129)])
def test_a_job_of_an_older_router_is_read_by_the_numbers_of_its_time(
    number: int, form: int
) -> None:
    older = job(prompt_type=number)
    del older["prompt_form"]
    assert Job.from_json(older).prompt_form == form


def test_a_node_that_knows_older_numbers_only_finds_none_in_a_job() -> None:
    assert "prompt_type" not in Job.from_json(job()).to_json()


def test_what_a_later_router_adds_is_ignored() -> None:
    assert Job.from_json(job(colour="red")) == Job.from_json(job())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("assignment_id", "../../etc/passwd"),
        ("assignment_id", ID.upper().replace("0", "A")),
        ("task_digest", "0x11"),
        ("task_digest", "11" * 32),
        ("task_digest", 5),
        ("queue_address", "0x12"),
        ("session_id", "1"),
        ("session_id", True),
        ("session_id", -1),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("temperature_x100", -1),
        ("stop", "END"),
        ("stop", [1]),
        ("deadline_at", None),
        ("inline", 1),
        ("prompt", None),
        ("logprobs", 21),
        ("seed", "0x07"),
        ("seed", 7),
        ("min_p", 1.5),
        ("logit_bias", {"-1": 1.0}),
        ("logit_bias", {"1": float("nan")}),
        ("logit_bias", {str(2**31): 1.0}),
        ("logit_bias", [1]),
        ("grammar", 'root ::= "a"'),
        ("grammar", None),
        ("top_k", 2**63),
        ("temperature_x100", 10**400),
        ("logit_bias", {"1": 1e38}),
        ("deadline_at", float("inf")),
    ],
)
def test_a_wrong_member_is_named(name: str, value: object) -> None:
    with pytest.raises(Malformed) as refused:
        Job.from_json(job(**{name: value}))
    assert refused.value.field == name
    assert str(refused.value).startswith(name + ":")


def test_a_wrong_member_of_a_grammar_is_named() -> None:
    with pytest.raises(Malformed, match=r"grammar\.version: is int") as refused:
        Job.from_json(job(grammar={"library": "llguidance", "version": 1, "lark": "start: /a/"}))
    assert refused.value.field == "grammar.version"


@pytest.mark.parametrize(
    "changes",
    [
        {"sealed_prompt": "{}"},
        {"seal_for": ["0x" + "09" * 32]},
        {"sealed_prompt": "{}", "seal_for": ["0x09"]},
    ],
)
def test_a_sealed_prompt_comes_with_keys_to_seal_the_result_for(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        Job.from_json(job(**changes))
    assert refused.value.field == "seal_for"


OPTIONAL = {
    "stop",
    "logprobs",
    "logit_bias",
    "grammar",
    "min_p",
    "seed",
    "sealed_prompt",
    "seal_for",
    "enough_characters",
    "attempt",
    "alone",
}


def test_what_an_older_router_leaves_out_has_its_default() -> None:
    plain = Job.from_json({name: value for name, value in job().items() if name not in OPTIONAL})
    assert (plain.stop, plain.logprobs, plain.logit_bias, plain.grammar) == ([], 0, {}, None)
    assert plain.sampling.min_p == 0


@pytest.mark.parametrize("name", sorted(job().keys() - OPTIONAL))
def test_a_missing_member_is_named(name: str) -> None:
    incomplete = job()
    del incomplete[name]
    with pytest.raises(Malformed) as refused:
        Job.from_json(incomplete)
    assert refused.value.field == name


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_nothing_that_json_can_say_breaks_the_reader(value: object) -> None:
    for name in job():
        with suppress(Malformed):
            assert isinstance(Job.from_json(job(**{name: value})), Job)
