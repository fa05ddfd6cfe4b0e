"""The view of `/metrics`, for clients that METRICS_TOKEN or METRICS_ALLOWED admits."""

import hmac
import os
from functools import cache
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client.multiprocess import MultiProcessCollector

from cortensor_site.metrics.network import NetworkCollector


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics of this process, or of all that share `PROMETHEUS_MULTIPROC_DIR`."""
    if not _may_read(request):
        return HttpResponseForbidden("METRICS_TOKEN and METRICS_ALLOWED decide who may read this\n")
    own, network = _registries()
    return HttpResponse(
        generate_latest(own) + generate_latest(network), content_type=CONTENT_TYPE_LATEST
    )


@cache
def _registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    own = PROCESS_REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        own = CollectorRegistry()
        MultiProcessCollector(own)  # type: ignore[no-untyped-call]
    network = CollectorRegistry()
    network.register(NetworkCollector())
    return own, network


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        sent = request.headers.get("Authorization", "")
        return hmac.compare_digest(sent.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    # Behind a proxy, every address is that of the proxy, so operators have to set a token there.
    if "HTTP_X_FORWARDED_FOR" in request.META:
        return False
    return any(address in ip_network(allowed) for allowed in settings.METRICS_ALLOWED)
