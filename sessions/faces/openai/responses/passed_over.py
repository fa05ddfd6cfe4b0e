"""The header that names the members of a schema to which an answer is not held."""

from collections.abc import Sequence
from urllib.parse import quote

PASSED_OVER = "X-Schema-Passed-Over"
MAX_CHARACTERS = 2_048
_AS_THEY_ARE = "[]()$@!*+~/:="
"""Beside letters, digits and '_.-'; what else a name has is percent-encoded."""


def passed_over_header(paths: Sequence[str]) -> str:
    """The paths, as a list; the last part says how many did not fit in."""
    parts: list[str] = []
    length = 0
    for path in paths:
        part = quote(path, safe=_AS_THEY_ARE, errors="replace")
        length += len(part) + 2
        if length > MAX_CHARACTERS:
            return ", ".join([*parts, f"and {len(paths) - len(parts)} more"])
        parts.append(part)
    return ", ".join(parts)
