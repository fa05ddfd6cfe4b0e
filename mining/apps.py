"""The Django application of mining."""

import sys

from django.apps import AppConfig

RECURSION_LIMIT = 1_000


class MiningConfig(AppConfig):
    name = "mining"
    label = "mining"

    def ready(self) -> None:
        """Register the projections, and listen to what clients do."""
        from mining import projections  # noqa: F401
        from mining.network import projections as network_projections  # noqa: F401
        from mining.progress import client_news  # noqa: F401

        # py_ecc, which eth_account brings in, raises the limit to 100,000. Then a stranger's JSON
        # of brackets alone overflows the C stack and kills the process that reads it.
        sys.setrecursionlimit(RECURSION_LIMIT)
