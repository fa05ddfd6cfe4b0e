"""docs/openai.md lists exactly the error codes of `/v1`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from rest_framework.exceptions import MethodNotAllowed, ParseError, ValidationError

import sessions.faces.openai
from cortensor_site.web.body_limit import _CODES
from sessions import errors
from sessions.access import errors as access_errors
from sessions.access.errors import BudgetSpent, LimitReached
from sessions.errors import RequestError
from sessions.faces.openai.errors import read_error

DOCS = Path(__file__).parents[4] / "docs" / "openai.md"
ELSEWHERE = {
    "csrf_refused",  # cookies count at /api alone
    "task_not_found",  # nothing is asked of a task
    "stream_gone",  # nor is one resumed
    "nothing_to_compare",  # nor an answer validated
}
BASES = {errors.RequestError, errors.IntakeError, errors.RelayError}


def raised() -> Iterator[RequestError]:
    for module in (errors, access_errors):
        for kind in vars(module).values():
            if not isinstance(kind, type) or not issubclass(kind, RequestError) or kind in BASES:
                continue
            if kind.code in ELSEWHERE:
                continue
            is_limit = kind in (LimitReached, BudgetSpent)
            yield kind("why", wait_s=1) if is_limit else kind("why")  # type: ignore[call-arg]


def said_by_this_face() -> Iterator[str]:
    """The codes in the calls of `OpenAIError` and `ErrorObject`, and in their helpers."""
    for path in Path(sessions.faces.openai.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = {"OpenAIError": 2, "ErrorObject": 4}.get(node.func.id)
            if place is None:
                continue
            given = [each.value for each in node.keywords if each.arg == "code"]
            for value in [*given, *node.args[place : place + 1]]:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def documented() -> set[str]:
    section = DOCS.read_text().split("## Errors")[1].split("## Parameters")[0]
    rows = [row.split("|") for row in section.splitlines() if re.match(r"\| [0-9]", row)]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row[2])}


def test_each_code_is_listed_and_no_other() -> None:
    codes = {read_error(error).code for error in raised()} | set(said_by_this_face())
    codes |= set(_CODES.values())
    for error in (ParseError(), MethodNotAllowed("GET"), ValidationError({"n": "is wrong"})):
        codes.add(read_error(error).code)
    codes.add("context_length_exceeded")
    assert codes == documented()
