"""Content negotiation: the answer is JSON, whatever the client's `Accept` header says.

Completions behave in the same way. Many clients send `Accept: text/html` or an event stream by
default. An answer in JSON helps them more than a 406.
"""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class JsonAnyway(DefaultContentNegotiation):
    """The framework's choice, or its first renderer if the client accepts none of them."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: Any = None
    ) -> tuple[BaseRenderer, str]:
        offered = list(renderers)
        try:
            renderer, media_type = super().select_renderer(request, offered, format_suffix)
        except NotAcceptable:
            return offered[0], offered[0].media_type
        return renderer, media_type
