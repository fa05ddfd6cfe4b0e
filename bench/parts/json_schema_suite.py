"""Measures how much of JSON Schema's own test suite (draft 2020-12) the grammars enforce.

The suite is in the source archive of the package `jsonschema`, which `make setup-dev` downloads. It
is not in the wheel. For every required test, the schema is sent as a strict one. The grammar must
allow a valid instance and refuse an invalid one.
"""

import hashlib
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.parts.followed import Followed, Unfollowed
from sessions.faces.openai.json_schema import NotHeld, SchemaInvalid, hold, rule_of

SHA256 = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326"
DRAFT = "/json/tests/draft2020-12/"
BEYOND_A_GRAMMAR = {
    "uniqueItems": "a context-free grammar does not compare items",
    "contains": "the library has arrays whose items are all alike",
    "minContains": "as contains",
    "maxContains": "as contains",
    "unevaluatedItems": "it depends on which other members have held",
    "unevaluatedProperties": "it depends on which other members have held",
    "$dynamicRef": "it depends on the way by which it was reached",
    "format": "the suite has it hold nothing; here it holds, as OpenAI documents it",
    "contentEncoding": "the suite has it hold nothing; what a string encodes is refused here",
    "contentMediaType": "as contentEncoding",
    "contentSchema": "as contentEncoding",
}
"""Keywords that no grammar of the library can enforce, with the reasons."""
OTHER_DOCUMENTS = ("refRemote", "vocabulary", "dynamicRef")
"""Files of tests whose schemas refer to other documents, which a router never reads."""


class Outcome(StrEnum):
    HELD = "held"
    REFUSED = "refused"
    """The schema is refused with status 400 and the name of a member."""
    DROPPED = "dropped"
    """The schema is accepted, but an invalid answer is possible or no valid answer is."""
    NARROWER = "narrower"
    """The schema is accepted, but this valid instance is not possible. Others are."""


@dataclass(frozen=True)
class Case:
    """The result of one test of the suite.

    Args:
        name: the name of the test.
        outcome: its outcome.
        param: the member that a refusal names.
        is_counted: whether a grammar can enforce the schema.
    """

    name: str
    outcome: Outcome
    param: str
    is_counted: bool


def suite_file() -> Path:
    """Return the path of the archive that contains the suite.

    Raises:
        FileNotFoundError: the archive is missing, or is not the expected one.
    """
    name = f"jsonschema-{version('jsonschema')}.tar.gz"
    path = Path(sys.prefix) / "json-schema-suite" / name
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise FileNotFoundError(f"{path} is not the expected archive; run 'make setup-dev'")
    return path


def cases() -> Iterator[Case]:
    """Run every required test of the draft."""
    with tarfile.open(suite_file()) as sources:
        for member in sources:
            folder, _, name = member.name.partition(DRAFT)
            if not folder or not name.endswith(".json") or "/" in name:
                continue
            content = sources.extractfile(member)
            assert content is not None
            for group in json.load(content):
                yield from _of_group(name.removesuffix(".json"), group)


def figures() -> dict[str, float]:
    """Run the suite and return its figures.

    `suite_held` is the share of tests that hold, of those that a grammar can enforce.
    `silently_dropped` is the number of tests with the outcome DROPPED, which should be 0.
    """
    counted = Counter[Outcome]()
    everything = Counter[Outcome]()
    for case in cases():
        everything[case.outcome] += 1
        counted[case.outcome] += case.is_counted
    return {
        "suite_held": counted[Outcome.HELD] / counted.total(),
        "silently_dropped": everything[Outcome.DROPPED],
        "suite_tests": everything.total(),
        "suite_counted": counted.total(),
        "suite_held_of_all": everything[Outcome.HELD] / everything.total(),
    }


def _of_group(file: str, group: dict[str, Any]) -> Iterator[Case]:
    schema, tests = group["schema"], group["tests"]
    is_counted = file not in OTHER_DOCUMENTS and not _speaks_beyond(schema)
    param = ""
    try:
        answer = Followed(f"start: {rule_of(hold(schema, 'schema', is_strict=True))}")
        admitted = [answer.admits_value(test["data"]) for test in tests]
    except Unfollowed:
        outcomes = [Outcome.DROPPED] * len(tests)
    except (NotHeld, SchemaInvalid) as error:
        param = error.path
        # A schema that no value fits is refused before a client pays for an answer.
        is_held = "no value fits it" in error.reason and not any(test["valid"] for test in tests)
        outcomes = [Outcome.HELD if is_held else Outcome.REFUSED] * len(tests)
    else:
        valid = [said for test, said in zip(tests, admitted, strict=True) if test["valid"]]
        has_valid = any(valid) or not valid
        outcomes = [
            _outcome(test["valid"], said, has_valid)
            for test, said in zip(tests, admitted, strict=True)
        ]
    for test, outcome in zip(tests, outcomes, strict=True):
        name = f"{file} / {group['description']} / {test['description']}"
        yield Case(name, outcome, param, is_counted)


def _outcome(is_valid: bool, is_admitted: bool, has_valid: bool) -> Outcome:
    if is_valid == is_admitted:
        return Outcome.HELD
    return Outcome.NARROWER if is_valid and has_valid else Outcome.DROPPED


def _speaks_beyond(schema: Any) -> bool:
    """Tell whether a schema has a keyword that no grammar enforces, or a part elsewhere."""
    if isinstance(schema, list):
        return any(map(_speaks_beyond, schema))
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("https://json-schema.org/"):
        return True
    return any(
        name in BEYOND_A_GRAMMAR or _speaks_beyond(member)
        for name, member in schema.items()
        if name not in ("const", "enum")
    )
