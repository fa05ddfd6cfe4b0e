"""For any schema, every answer that its grammar accepts is valid.

Schemas are generated, and answers are random walks through their grammars. A validator that shares
no code with the grammars checks the answers.
"""

import json
import random
from collections.abc import Callable
from datetime import date, datetime, time
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bench.parts.followed import Followed, Unfollowed
from sessions.faces.openai.json_schema import NotHeld, SchemaInvalid, hold, rule_of

WALKS, LONGEST = 4, 400
NAMES = st.sampled_from(["a", "b", "ab", "é", 'q"', "", "\t"])
TEXTS = st.text(st.sampled_from('ab"\\\té😀\x00/ '), max_size=4)
COUNTS = st.integers(0, 3)
WHOLE = st.integers(-12, 12)
FIGURES = st.one_of(WHOLE, st.decimals(-3, 3, places=2).map(float))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), FIGURES, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=3,
)
# Those which Python's `re` reads as ECMA-262 does.
PATTERNS = st.sampled_from(
    [
        "a",
        "^a",
        "b$",
        "^[ab]+$",
        "^a|b$",
        "^(a|b){1,2}",
        r"^\d{1,3}$",
        '[^"]',
        r"^[^\\a]*$",
        "^(?=.*a)[ab]{2,4}$",
        "^$",
        "^a?b*$",
        r"\\",
        '"',
        r"[\x00-\x1f]",
        "^😀*$",
        "(^a|b)c?",
    ]
)


def members(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema with some of these members."""
    return st.fixed_dictionaries({}, optional=strategies)


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas whose parts are those of another strategy."""
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=3)
    names = st.lists(NAMES, max_size=2, unique=True)
    types = ["null", "boolean", "integer", "number", "string", "array", "object"]
    any_type = st.sampled_from(types)
    numbers = {
        "minimum": FIGURES,
        "maximum": FIGURES,
        "exclusiveMinimum": FIGURES,
        "exclusiveMaximum": FIGURES,
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25, 1.5]),
    }
    strings = {"minLength": COUNTS, "maxLength": COUNTS, "pattern": PATTERNS}
    arrays = {
        "items": inner,
        "prefixItems": several,
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "contains": inner,
    }
    objects = {
        "properties": named,
        "required": names,
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "propertyNames": inner,
        "minProperties": COUNTS,
        "maxProperties": COUNTS,
        "dependentRequired": st.dictionaries(NAMES, names, max_size=2),
        "dependentSchemas": st.dictionaries(NAMES, inner, max_size=1),
    }
    applied = {"allOf": several, "anyOf": several, "oneOf": several, "not": inner}
    asked = {"if": inner, "then": inner, "else": inner}
    kind = {"type": st.one_of(any_type, st.lists(any_type, min_size=1, max_size=3, unique=True))}
    return st.one_of(
        members(**kind, **numbers),
        members(**kind, **strings),
        members(**kind, **arrays),
        members(**kind, **objects),
        members(**kind, **applied),
        members(**kind, **applied, **objects),
        members(**kind, **asked),
        members(**{"$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"])}, **kind),
        st.builds(lambda value: {"const": value}, VALUES),
        st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=4)),
    )


ANY_SCHEMA = st.recursive(st.one_of(st.booleans(), st.just({})), schemas, max_leaves=6)
WITH_DEFINITIONS = st.builds(
    lambda root, one, two: root | {"$defs": {"one": one, "two": two}},
    ANY_SCHEMA.filter(lambda schema: isinstance(schema, dict)),
    ANY_SCHEMA,
    ANY_SCHEMA,
)


def followed(schema: dict[str, Any]) -> Followed | None:
    """A schema's grammar; None where a client gets a 400 for it."""
    try:
        return Followed(f"start: {rule_of(hold(schema, 'schema', is_strict=True))}")
    except (NotHeld, SchemaInvalid):
        return None
    except Unfollowed as error:
        if "Unsatisfiable" in str(error):  # no string matches two patterns at once, say
            return None
        raise


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(schema=WITH_DEFINITIONS, seed=st.integers(0, 2**32))
def test_an_answer_that_ends_fits_its_schema(schema: dict[str, Any], seed: int) -> None:
    answer = followed(schema)
    if answer is None:
        return
    source = random.Random(seed)
    validator = Draft202012Validator(schema)
    for _ in range(WALKS):
        if (text := answer.walk(source, LONGEST)) is not None:
            assert validator.is_valid(json.loads(text)), text


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=WITH_DEFINITIONS, value=VALUES)
def test_what_fits_a_schema_can_be_an_answer(schema: dict[str, Any], value: Any) -> None:
    answer = followed(schema)
    if answer is None:
        return
    assert answer.admits_value(value) or not Draft202012Validator(schema).is_valid(value)


FORMATS: dict[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "date-time": datetime.fromisoformat,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "uuid": UUID,
}


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_has_the_format_that_is_asked(name: str) -> None:
    source = random.Random(7)
    schema = {"type": "string", "format": name}
    answer = Followed(f"start: {rule_of(hold(schema, 'schema', is_strict=True))}")
    walks = [answer.walk(source, LONGEST) for _ in range(30)]
    said = [json.loads(text) for text in walks if text is not None]
    assert said
    for text in said:
        FORMATS[name](text)
