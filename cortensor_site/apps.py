"""The Django application of the whole router."""

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:  # models cannot be imported before the applications are there
    from sessions.ports import Ports


class CortensorSiteConfig(AppConfig):
    name = "cortensor_site"
    label = "cortensor_site"

    def ready(self) -> None:
        """Tell sessions what stands above it."""
        from sessions import ports

        ports.register(_router_ports)


def _router_ports() -> "Ports":
    # Loaded when it is asked for: llama.cpp is not for processes that count no prompts.
    from cortensor_site.router_ports import PORTS

    return PORTS
