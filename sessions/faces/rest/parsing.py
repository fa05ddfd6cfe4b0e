"""Parsing of request bodies in REST framework views: JSON objects of bounded depth."""

from collections.abc import Mapping
from typing import IO, Any, cast

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from sessions.faces.common.completion_body import json_object


class ObjectParser(BaseParser):
    """Parses bodies like the completions do. The framework's own parser has no limit of depth."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return json_object(stream.read())


def given(request: Request) -> dict[str, Any]:
    """Return the members of a body, without those that are null."""
    members = cast(dict[str, Any], request.data)
    return {name: value for name, value in members.items() if value is not None}
