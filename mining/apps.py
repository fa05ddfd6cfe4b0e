"""The Django application of mining."""

import sys

from django.apps import AppConfig

RECURSION_LIMIT = 1_000


class MiningConfig(AppConfig):
    name = "mining"
    label = "mining"

    def ready(self) -> None:
        """Register the projections, and the receivers of signals about clients."""
        from mining import projections  # noqa: F401
        from mining.network import projections as network_projections  # noqa: F401
        from mining.progress import client_news  # noqa: F401

        # py_ecc, a dependency of eth_account, raises the limit to 100,000. With that limit, a
        # client's JSON of many nested brackets overflows the C stack and kills the process.
        sys.setrecursionlimit(RECURSION_LIMIT)
