"""The header with the members of a schema that are not enforced."""

from collections.abc import Sequence
from urllib.parse import quote

PASSED_OVER = "X-Schema-Passed-Over"
MAX_CHARACTERS = 2_048
_AS_THEY_ARE = "[]()$@!*+~/:="
"""Characters that stay as they are, beside letters, digits and '_.-'. Others are escaped."""


def passed_over_header(paths: Sequence[str]) -> str:
    """Return the paths as a list. If they do not all fit, its last part says how many are left."""
    parts: list[str] = []
    length = 0
    for path in paths:
        part = quote(path, safe=_AS_THEY_ARE, errors="replace")
        length += len(part) + 2
        if length > MAX_CHARACTERS:
            return ", ".join([*parts, f"and {len(paths) - len(parts)} more"])
        parts.append(part)
    return ", ".join(parts)
