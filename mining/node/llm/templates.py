"""A model's chat template: untrusted code that runs in Jinja's sandbox, with limited resources.

The sandbox protects the process from a template, but not its time and memory. So this module counts
each iteration of a loop, each call of a macro and the characters of the output. It also limits the
size of what an operator, a filter or a method returns.
"""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import Environment, nodes, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

MAX_ROUNDS = 20_000
"""The most loop iterations and macro calls. A conversation of 256 turns takes some thousands."""
MAX_SIZE = 200_000
"""The largest size of a template's source, and of any text, list or number that it computes."""
MAX_SAID = 2_000_000
"""The most characters that a template may output, including output that it discards."""
MAX_S = 5.0
"""The most seconds that a rendering may take."""
_BUDGET, _JOIN = "cortensor_budget", "cortensor_join"
_WIDE = re.compile(r"\d{5}")


class TemplateFails(ValueError):
    """The template cannot be read, raises an error, or exceeds a limit."""


class Template:
    """A chat template.

    Args:
        source: the template's source, from the model's file.
        bos_text: the text of the model's start token.
        eos_text: the text of the model's end token.
        today: the date that the template sees. All nodes must use the same one.

    Raises:
        TemplateFails: the template cannot be read.
    """

    def __init__(self, source: str, *, bos_text: str, eos_text: str, today: datetime) -> None:
        formatter: Any = Jinja2ChatFormatter("", eos_token=eos_text, bos_token=bos_text)
        try:
            _require_small(len(source))
            environment = _bounded(formatter._environment.environment)
            tree = _Counting().visit(environment.parse(source))
            formatter._environment = environment.from_string(tree)
        except Exception as error:  # the source is untrusted, and Jinja compiles it to code
            raise TemplateFails(_reason(error)) from error
        formatter.strftime_now = today.strftime
        self._formatter: Any = formatter

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Render a conversation. Raises TemplateFails."""
        given: dict[str, Any] = {_BUDGET: _Budget(), _JOIN: _join}
        try:
            return str(self._formatter(messages=messages, **given).prompt)
        except Exception as error:  # the template's code can raise anything
            raise TemplateFails(_reason(error)) from error


class _TooMuch(ValueError):
    """The template exceeds a limit."""


class _Budget:
    """Counts what one rendering uses."""

    def __init__(self) -> None:
        self._rounds = self._said = 0
        self._ends_at = time.monotonic() + MAX_S

    def tick(self, size: int) -> str:
        """Count an iteration that outputs `size` characters of the template's own text."""
        self._rounds += 1
        if self._rounds > MAX_ROUNDS or time.monotonic() > self._ends_at:
            raise _TooMuch(f"it takes more than {MAX_ROUNDS} iterations or {MAX_S} s")
        self.say(size)
        return ""

    def say(self, size: int) -> None:
        """Count `size` characters of output."""
        self._said += size
        if self._said > MAX_SAID:
            raise _TooMuch(f"it outputs more than {MAX_SAID} characters")


class _Counting(NodeTransformer):
    """Inserts a count at the head of each loop and macro.

    It also replaces the operator `~` by a limited function, since Jinja has no hook for it.
    """

    def visit_For(self, node: nodes.For) -> nodes.Node:
        return self._counted(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._counted(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._counted(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Call(nodes.Name(_JOIN, "load"), node.nodes, [], None, None, lineno=node.lineno)

    def _counted(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        said = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        tick = nodes.Getattr(nodes.Name(_BUDGET, "load"), "tick", "load")
        call = nodes.Call(tick, [nodes.Const(said)], [], None, None)
        head = nodes.Output([call])
        node.body.insert(0, head.set_lineno(node.lineno, override=True))
        return node  # type: ignore[no-any-return]


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int) and isinstance(right, int)
        match operator:
            case "+":
                _require_small(_size(left) + _size(right))
            case "*" if numbers:
                _require_small(left.bit_length() + right.bit_length())
            case "*":
                _require_small(_count(left) * _count(right))
            case "**" if numbers:
                _require_small(left.bit_length() * abs(right))
            case "%" if isinstance(left, str):
                _require_small(_size(left % right) if not _WIDE.search(left) else MAX_SIZE + 1)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        text = getattr(obj, "__self__", None)
        if isinstance(text, str):
            _require_modest(text, obj.__name__, [*args, *kwargs.values()])
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Any:
        text = getattr(value, "__self__", None)
        if isinstance(text, str) and value.__name__ in ("format", "format_map"):
            _require_modest(text, "format", [])
        return super().wrap_str_format(value)


def _bounded(environment: Environment) -> Environment:
    """Limit the formatter's own environment and return it."""
    environment.__class__ = _BoundedEnvironment
    environment.optimized = False  # the optimiser would evaluate constants before they are counted
    environment.finalize = _say
    environment.globals.pop("lipsum", None)
    filters = environment.filters
    for name in ("center", "format", "indent", "wordwrap", "replace", "join", "batch", "slice"):
        filters[name] = _modest_filter(name, filters[name])
    filters["tojson"] = _modest_filter("tojson", filters["tojson"])
    return environment


@pass_context
def _say(context: Any, value: Any) -> Any:
    context[_BUDGET].say(_size(value))
    return value


def _modest_filter(name: str, apply: Any) -> Any:
    def within(*args: Any, **kwargs: Any) -> Any:
        texts = [value for value in args if isinstance(value, str)]
        _require_modest(texts[0] if texts else "", name, [*args, *kwargs.values()])
        return apply(*args, **kwargs)

    vars(within).update(vars(apply))  # keeps the marks by which Jinja passes it the context
    return within


def _require_modest(text: str, name: str, values: Sequence[Any]) -> None:
    """Refuse a method or a filter of a text if its result could be too large.

    Args:
        text: the text.
        name: the name of the method or filter.
        values: its arguments. A number among them must be small.
    """
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_SIZE:
            raise _TooMuch(f"'{name}' is given {str(value)[:20]}")
    if name == "format" and _WIDE.search(text):
        raise _TooMuch("it formats a text with too large a width")
    if name in ("join", "replace", "translate", "expandtabs", "indent", "format", "wordwrap"):
        largest = max((_size(value) for value in values), default=0)
        members = sum(_size(each) for value in values if isinstance(value, list) for each in value)
        _require_small(max(len(text), 1) * max(largest, 1) + members, MAX_SAID)


def _join(*values: Any) -> str:
    _require_small(sum(map(_size, values)))
    return "".join(map(str, values))


def _count(value: Any) -> int:
    """Return a value as a factor of a multiplication: a number, or the size of a sequence."""
    return abs(value) if isinstance(value, int) else max(_size(value), 1)


def _size(value: Any) -> int:
    if isinstance(value, int):
        return value.bit_length()
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _require_small(size: int, most: int = MAX_SIZE) -> None:
    if size > most:
        raise _TooMuch(f"it computes a value larger than {most}")


def _reason(error: Exception) -> str:
    text = str(error).partition("\n")[0][:200]
    return text or type(error).__name__
