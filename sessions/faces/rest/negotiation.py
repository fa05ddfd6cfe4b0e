"""Which form an answer has: JSON, whatever a client says that it accepts.

The completions answer so as well, and a client that asks for HTML or an event stream out of habit
is better served by an answer than by a 406.
"""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class JsonAnyway(DefaultContentNegotiation):
    """As the framework chooses; its first form where nothing that is asked for exists."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: Any = None
    ) -> tuple[BaseRenderer, str]:
        offered = list(renderers)
        try:
            renderer, media_type = super().select_renderer(request, offered, format_suffix)
        except NotAcceptable:
            return offered[0], offered[0].media_type
        return renderer, media_type
