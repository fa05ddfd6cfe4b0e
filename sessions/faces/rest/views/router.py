"""Information about the router and its miners."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from django.utils import timezone
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chain.protocol.addresses import checksummed
from chain.version import VERSION
from sessions import ports
from sessions.errors import EncryptionUnavailable
from sessions.faces.common.listing import Reader, filters_of, flag, ordering_of, page_of, word
from sessions.faces.rest import representations
from sessions.intake import encryption
from sessions.ports import MinerEntry

NAME = "Cortensor router"
MINER_FILTERS: dict[str, Reader] = {"online": flag, "state": word}
MINER_ORDERINGS = ("reputation", "tokens_per_s", "in_flight")


class AboutView(APIView):
    """`GET /about`: name and version, without authentication."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response({"name": NAME, "version": VERSION, "api": ["v1", "v2"], "openai": "/v1"})


class InfoView(APIView):
    """`GET /info`: what a client needs to know to use this router."""

    def get(self, request: Request) -> Response:
        return Response(
            {
                "name": NAME,
                "version": VERSION,
                "address": checksummed(ports.router_address()),
                "encryption_key": _encryption_key(),
                "miners_online": ports.miners_online(),
                "models": representations.models(),
            }
        )


def _encryption_key() -> str | None:
    try:
        return "0x" + encryption.public_key().hex()
    except EncryptionUnavailable:
        return None


class StatusView(APIView):
    """`GET /status`: which parts of the router are alive."""

    def get(self, request: Request) -> Response:
        components = {"router": True, "miners": ports.miners_online() > 0} | ports.router_health()
        status = "ok" if all(components.values()) else "degraded"
        return Response({"status": status, "components": components})


class PingView(APIView):
    """`GET /ping`: whether this process answers."""

    def get(self, request: Request) -> Response:
        return Response({"status": "ok", "time": timezone.now()})


class MinersView(APIView):
    """`GET /miners`: the miners that this router knows, connected ones first."""

    def get(self, request: Request) -> Response:
        filters = filters_of(request, MINER_FILTERS)
        known = ports.miner_directory()
        rows = [
            row for row in known if all(row.get(name) == value for name, value in filters.items())
        ]
        if request.query_params.get("ordering"):
            ordering = ordering_of(request, MINER_ORDERINGS, "reputation")
            rows.sort(key=itemgetter(ordering.removeprefix("-")), reverse=ordering[0] == "-")
        page = page_of(request, rows, _shown, "miners", is_counted=True)
        # Members with the names that the deployed network uses.
        page.data |= {"nodes": page.data["miners"], "stats": representations.miner_stats(known)}
        return page


def _shown(rows: Iterable[MinerEntry]) -> list[dict[str, Any]]:
    return [representations.miner(row) for row in rows]
