"""Generates cases by kind and number. The same number gives the same case."""

import json
import random
from collections.abc import Callable
from typing import Any

GRAMMARS = (
    'start: "hen" | "inn, the inn"',
    "start: /[a-z]+( [a-z]+)*/",
    'start: %json {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}',
    'start: call | TEXT\ncall: %json {"type": "object"}\nTEXT: /([^{](.|\\n)*)?/',
    'start: "a" start',
    "start: start",
    'start: a\na: b | "x"\nb: a "y"',
    r'start: "a" /[^\x00-\x{10FFFF}]/',
    "start: /(a?){50}(a*)*b{2,4000}/",
    "start: /(.|\\n)*/",
    "start: " + "(" * 300 + '"a"' + ")" * 300,
    "start: "
    + " ".join(f"r{n}" for n in range(60))
    + "".join(f'\nr{n}: "{n}"?' for n in range(60)),
    "start: r0" + "".join(f"\nr{n}: r{n + 1}" for n in range(5_000)) + '\nr5000: "a"',
    'start: %json {"$ref": "#/$defs/0", "$defs": {'
    + "".join(f'"{n}": {{"items": {{"$ref": "#/$defs/{n + 1}"}}}}, ' for n in range(1_500))
    + '"1500": {}}}',
    "start: <[5]> <|end|> /a/",
    '%llguidance {"no_forcing": true}\nstart: "a"{3,90000}',
    'start: %regex {"substring_chars": "aaaaaaaaaaaaaaaaaaaaaaaaab"}',
    "start: gen\ngen[max_tokens=1, stop=/x/]: /.*/\n",
    "start: A & B\nA: /a+/\nB: /[ab]{40}/",
    'start[temperature=0.1]: @sub\n%import common.INT\nstart2: "é\\u0000😀"',
    "start: ~A\nA: /x/",
)
PIECES = (
    *'"/()[]{}|*+?\\:@&~$^',
    "\n",
    "\0",
    "😀",
    "\ud800",
    "start",
    "%json",
    "%regex",
    "{0,99999999}",
    "{,}",
    "\\x{",
    "%ignore /x/\n",
    "a: a\n",
    '{"type": ["string", 5]}',
    "(?i)",
    "(?=a)",
    "\\b",
    "\\p{L}",
    "<[0]>",
    "<[999999999]>",
    "<|end|>",
)
TEMPLATES = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{% set n = namespace(s='a') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{{ messages | tojson(indent=10**8) }}{{ '{:999999999}'.format(1) }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ [[1] * 999] * 999 | sum(start=[]) | list | join('x' * 9999) }}",
    "{{ raise_exception('no') }}{{ strftime_now('%Y' * 999) }}",
)
TEXTS = (
    "a",
    "9",
    " ",
    "\n",
    "\0",
    "é",
    "😀",
    "\U0001f469\u200d\U0001f467",
    "\ud800",
    "\u202e",
    "\u0301",
    "½",
    "\ufdf7",
    "中",
    "'s",
    "<|end|>",
    "\u2581",
    "\ufeff",
    "\U0010ffff",
    "<s>",
    "[INST]",
    "\U0001f3fd",
)
NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    7,
    100,
    255,
    2**31 - 1,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    -0.0,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    None,
    True,
    "7",
    [],
    {},
)

Case = dict[str, Any]


def mutated(rng: random.Random, text: str, pieces: tuple[str, ...]) -> str:
    """Return a text with random cuts, repetitions and insertions."""
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                text = text[:a] + text[b:]
            case 1:
                text = text[:b] + text[a:b] * rng.choice((1, 3, 200)) + text[b:]
            case _:
                text = text[:a] + rng.choice(pieces) * rng.choice((1, 1, 1, 2, 3000)) + text[a:]
        text = text[:200_000] or "x"
    return text


def schema(rng: random.Random, depth: int = 0) -> Any:
    """Return a random JSON schema, valid or not."""
    kinds = ("string", "number", "integer", "boolean", "null", "object", "array", "mystery")
    found: dict[str, Any] = {}
    if rng.random() < 0.8:
        found["type"] = rng.choice(kinds) if rng.random() < 0.8 else rng.sample(kinds, 2)
    for name in rng.sample(_MEMBERS, rng.randrange(4)):
        found[name] = _MEMBER[name](rng, depth)
    return found if rng.random() < 0.97 else rng.choice(NUMBERS)


def text(rng: random.Random) -> str:
    """Return a text that is difficult for tokenisers."""
    sizes = (1, 2, 20, 300, 300, 20_000, 200_000)
    parts = [rng.choice(TEXTS) * rng.choice(sizes) for _ in range(rng.randrange(1, 4))]
    return "".join(parts)[:400_000]


def number(rng: random.Random) -> Any:
    """Return a number, or another value in its place."""
    return rng.choice(NUMBERS)


def _value(rng: random.Random) -> Any:
    texts = ("a\0b", "\ud83d", "😀", '"', "\\", "\n", "x" * 3000)
    return rng.choice((*texts, 1e400, -(10**30), None, [], {}))


def _inner(rng: random.Random, depth: int) -> Any:
    return schema(rng, depth + 1) if depth < 5 else {}


def _several(rng: random.Random, depth: int) -> list[Any]:
    return [_inner(rng, depth) for _ in range(rng.randrange(3))]


def _named(rng: random.Random, depth: int) -> dict[str, Any]:
    names = ("a", "b", "\0", "😀", "", "x" * 500, '"', "$ref")
    return {rng.choice(names): _inner(rng, depth) for _ in range(rng.choice((1, 2, 3)))}


def _pattern(rng: random.Random, _: int) -> str:
    bases = ("^a$", "^[^,]{3,9}$", "(a|b)*", "^\\d{3}-.+$", "^(a?){99}$", "\\", "[b-a]", "^(?=a)b$")
    return mutated(rng, rng.choice(bases), PIECES)


_MEMBER: dict[str, Callable[[random.Random, int], Any]] = {
    "enum": lambda rng, _: [_value(rng) for _ in range(rng.choice((0, 1, 3, 1000)))],
    "const": lambda rng, _: _value(rng),
    "pattern": _pattern,
    "format": lambda rng, _: rng.choice(("date", "uuid", "email", "regex", "\0", 5)),
    **dict.fromkeys(("properties", "patternProperties", "$defs"), _named),
    **dict.fromkeys(("anyOf", "allOf", "oneOf", "prefixItems"), _several),
    **dict.fromkeys(("items", "not", "if", "additionalProperties", "contains"), _inner),
    "$ref": lambda rng, _: rng.choice(("#", "#/$defs/a", "http://x/y", "#/properties/a", "\0")),
    "required": lambda rng, _: rng.choice((["a"], ["a", "zz"], "a", [1], ["a"] * 500)),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "multipleOf"),
        lambda rng, _: number(rng),
    ),
    "x-guidance": lambda rng, _: {"whitespace_pattern": mutated(rng, "[ ]*", PIECES)},
}
_MEMBERS = tuple(_MEMBER)


def lark_of_schema(rng: random.Random) -> str:
    """Return a grammar whose rule is a random schema."""
    return f"start: %json {json.dumps(schema(rng), ensure_ascii=rng.random() < 0.5)}"
