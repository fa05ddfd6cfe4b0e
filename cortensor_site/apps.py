"""The Django application that connects the router's packages."""

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:  # models cannot be imported before the applications are loaded
    from sessions.ports import Ports


class CortensorSiteConfig(AppConfig):
    name = "cortensor_site"
    label = "cortensor_site"

    def ready(self) -> None:
        """Register the implementations of the ports of `sessions`."""
        from sessions import ports

        ports.register(_router_ports)


def _router_ports() -> "Ports":
    # Import on first use, so that processes that count no prompts do not load llama.cpp.
    from cortensor_site.router_ports import PORTS

    return PORTS
