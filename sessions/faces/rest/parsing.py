"""Bodies of the REST framework's views: JSON objects of a bounded depth."""

from collections.abc import Mapping
from typing import IO, Any, cast

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from sessions.faces.common.completion_body import json_object


class ObjectParser(BaseParser):
    """As the completions read theirs; the framework's own parser follows any depth."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return json_object(stream.read())


def given(request: Request) -> dict[str, Any]:
    """The members of a body; one that is null says no more than one that is missing."""
    members = cast(dict[str, Any], request.data)
    return {name: value for name, value in members.items() if value is not None}
