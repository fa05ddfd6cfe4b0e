"""The schema for the grammar library. It uses only forms that the library enforces exactly."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sessions.faces.openai.json_schema.containers import Arrays, Conjunction
from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.expansion import Expansion
from sessions.faces.openai.json_schema.kinds import ANY, Kinds, Names
from sessions.faces.openai.json_schema.scalars import Numbers, Strings, whole_edges
from sessions.faces.openai.json_schema.shapes import ObjectShape, shapes_of
from sessions.faces.openai.json_schema.strings.complement import any_string_but

MAX_DEFINITIONS = 4_096
MAX_CONTAINERS = 400
"""The most different arrays and objects. The library recurses from each to the next. A chain of
about 800 of them overflows its stack and ends the process."""
MAX_INLINE = 5
"""Up to this depth, subschemas are written inline. Deeper ones become definitions."""
_FEW = 8
_CONTROLS = re.compile("[\\x00-\\x07\\x0b\\x0e-\\x1f\\x7f]")
"""Characters that JSON can only spell as `\\u` escapes."""


@dataclass(frozen=True)
class Definition:
    """The values that a conjunction of subschemas admits, in a form for the library."""

    kinds: Kinds
    shapes: tuple[ObjectShape, ...]

    @property
    def is_small(self) -> bool:
        listed = [len(each.among or ()) for each in self.kinds.strings]
        listed += [len(each.among or ()) for each in self.kinds.numbers]
        is_long = max(listed, default=0) > _FEW
        return self.is_scalar and not is_long

    @property
    def is_scalar(self) -> bool:
        """Whether it has no arrays and objects, or admits any JSON value."""
        return self.kinds == ANY or not (self.kinds.arrays or self.shapes)


class Emission:
    """The writer of one schema for the library.

    Args:
        prefix: the prefix of its definitions' names.
    """

    def __init__(self, expansion: Expansion, known: Names, prefix: str) -> None:
        self._expansion, self._known, self._prefix = expansion, known, prefix
        self._found: dict[Conjunction, Definition] = {}
        self._uses: Counter[Conjunction] = Counter()
        self._fitting: set[Conjunction] = set()
        self._names: dict[Conjunction, str] = {}
        self.definitions: dict[str, Any] = {}
        self.needs_plain_escapes = False
        self.has_controls = False

    def emit(self, root: Conjunction, path: str) -> Any:
        """Return the schema of the root. `definitions` has the schemas that it refers to.

        Raises:
            SchemaInvalid: no value fits the root, or it is too complex.
        """
        self._look_through(root, path)
        self._find_fitting()
        if root not in self._fitting:
            raise SchemaInvalid(path, "no value fits it")
        written = self._written(root, 0)
        for conjunction in (todo := list(self._names)):
            self.definitions[self._names[conjunction]] = self._body(conjunction, 0)
            todo.extend(each for each in self._names if each not in todo)
        return written

    # ── analysis ─────────────────────────────────────────────────────────────

    def _look_through(self, root: Conjunction, path: str) -> None:
        todo = [root]
        containers = 0
        self._uses[root] += 1
        while todo:
            conjunction = todo.pop()
            if conjunction in self._found:
                continue
            if len(self._found) >= MAX_DEFINITIONS:
                raise SchemaInvalid(path, "it has too many different parts; simplify it")
            definition = self._found[conjunction] = self._definition(conjunction)
            containers += not definition.is_scalar
            if containers > MAX_CONTAINERS:
                reason = f"it has more than {MAX_CONTAINERS} different arrays and objects"
                raise SchemaInvalid(path, reason)
            for child in _children(definition):
                self._uses[child] += 1
                todo.append(child)

    def _definition(self, conjunction: Conjunction) -> Definition:
        kinds = self._expansion.kinds(conjunction)
        shapes: list[ObjectShape] = []
        for objects in kinds.objects:
            try:
                shapes += shapes_of(
                    objects, self._expansion.names_of, self._expansion.kinds, self._known
                )
            except NotHeld as error:
                self._expansion.pass_over(error)
                loosened = self._expansion.loosened(objects)
                shapes += shapes_of(
                    loosened, self._expansion.names_of, self._expansion.kinds, self._known
                )
        return Definition(kinds, tuple(shapes))

    def _find_fitting(self) -> None:
        """Find the conjunctions that some value fits. One that requires itself has no value."""
        changed = True
        while changed:
            changed = False
            for conjunction, definition in self._found.items():
                if conjunction not in self._fitting and self._fits(definition):
                    self._fitting.add(conjunction)
                    changed = True

    def _fits(self, definition: Definition) -> bool:
        kinds = definition.kinds
        if kinds.null or kinds.booleans or kinds.numbers or kinds.strings:
            return True
        return any(map(self._fits_array, kinds.arrays)) or any(
            map(self._fits_shape, definition.shapes)
        )

    def _fits_array(self, arrays: Arrays) -> bool:
        needed = [arrays.item(index) for index in range(min(arrays.least, len(arrays.prefix) + 1))]
        return all(each in self._fitting for each in needed)

    def _fits_shape(self, shape: ObjectShape) -> bool:
        named = dict(shape.named)
        return all(named[name] in self._fitting for name in shape.required) and (
            not shape.least_more or any(held in self._fitting for held in shape.more)
        )

    # ── writing ──────────────────────────────────────────────────────────────

    def _written(self, conjunction: Conjunction, depth: int) -> Any:
        if conjunction not in self._fitting:
            return False
        definition = self._found[conjunction]
        if definition.kinds == ANY:
            return True
        is_inline = self._uses[conjunction] == 1 and depth < MAX_INLINE
        if is_inline or definition.is_small:
            return self._body(conjunction, depth)
        name = self._names.setdefault(conjunction, f"{self._prefix}{len(self._names)}")
        return {"$ref": f"#/$defs/{name}"}

    def _body(self, conjunction: Conjunction, depth: int) -> Any:
        definition = self._found[conjunction]
        kinds = definition.kinds
        ways: list[dict[str, Any]] = [{"type": "null"}] if kinds.null else []
        if kinds.booleans:
            values = sorted(kinds.booleans)
            ways.append({"type": "boolean"} if len(values) > 1 else {"const": values[0]})
        ways += map(_numbers, kinds.numbers)
        ways += map(_strings, kinds.strings)
        listed = (text for each in kinds.strings for text in each.among or ())
        self.has_controls = self.has_controls or any(map(_CONTROLS.search, listed))
        ways += [self._array(each, depth) for each in kinds.arrays if self._fits_array(each)]
        ways += [self._object(each, depth) for each in definition.shapes if self._fits_shape(each)]
        return ways[0] if len(ways) == 1 else {"anyOf": ways}

    def _array(self, arrays: Arrays, depth: int) -> dict[str, Any]:
        most = arrays.most
        prefix = list(arrays.prefix)
        for index, item in enumerate(prefix):
            if item not in self._fitting:
                most, prefix = index if most is None else min(most, index), prefix[:index]
                break
        if most is not None:
            prefix = prefix[:most]
        written: dict[str, Any] = {"type": "array"}
        if prefix:
            written["prefixItems"] = [self._written(each, depth + 1) for each in prefix]
        if most is None or most > len(prefix):
            written["items"] = self._written(arrays.rest, depth + 1)
        else:
            written["items"] = False
        if arrays.least:
            written["minItems"] = arrays.least
        if most is not None:
            written["maxItems"] = most
        return written

    def _object(self, shape: ObjectShape, depth: int) -> dict[str, Any]:
        written: dict[str, Any] = {"type": "object"}
        if shape.named:
            named = {name: self._written(held, depth + 1) for name, held in shape.named}
            written["properties"] = named
        if shape.patterned:
            patterned = {
                each.text: self._written(held, depth + 1) for each, held in shape.patterned
            }
            written["patternProperties"] = patterned
        rest = self._written(shape.rest, depth + 1)
        written["additionalProperties"] = rest
        if rest is not False and (shape.named or shape.patterned):
            # The library lets other names have escapes, so they could spell a declared name.
            self.needs_plain_escapes = True
        if shape.required:
            written["required"] = list(shape.required)
        if shape.least_more:
            written["minProperties"] = len(shape.required) + shape.least_more
        if shape.most_more is not None:
            written["maxProperties"] = len(shape.required) + shape.most_more
        return written


def _children(definition: Definition) -> Iterator[Conjunction]:
    for arrays in definition.kinds.arrays:
        yield from arrays.prefix
        yield arrays.rest
    for shape in definition.shapes:
        yield from (held for _, held in shape.named)
        yield from shape.more


def _numbers(numbers: Numbers) -> dict[str, Any]:
    if numbers.among is not None:
        return {"enum": [_plain(each) for each in numbers.among]}
    if numbers.is_whole:
        first, last = whole_edges(numbers)
        step = None if numbers.step is None else int(numbers.whole_step)
        bounds = {"minimum": first, "maximum": last, "multipleOf": step if step != 1 else None}
        return {"type": "integer"} | {k: v for k, v in bounds.items() if v is not None}
    written: dict[str, Any] = {"type": "number"}
    for edge, closed, opened in (
        (numbers.least, "minimum", "exclusiveMinimum"),
        (numbers.most, "maximum", "exclusiveMaximum"),
    ):
        if edge is not None:
            written[opened if edge.is_open else closed] = _plain(edge.at)
    if numbers.step is not None:
        written["multipleOf"] = _plain(numbers.step)
    return written


def _plain(number: Any) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def _strings(strings: Strings) -> dict[str, Any]:
    if strings.among is not None:
        return {"enum": list(strings.among)}
    patterns = list(strings.patterns)
    if strings.other_than:
        patterns.append(any_string_but(strings.other_than))
    written: dict[str, Any] = {"type": "string"}
    if strings.least and not any(each.least >= strings.least for each in patterns):
        written["minLength"] = strings.least
    most = strings.most
    if most is not None and not any(
        each.most is not None and each.most <= most for each in patterns
    ):
        written["maxLength"] = most
    if patterns:
        written["pattern"] = patterns[0].text
    if patterns[1:]:
        written["allOf"] = [{"type": "string", "pattern": each.text} for each in patterns[1:]]
    return written
