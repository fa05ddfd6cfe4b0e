"""How a run with several workers (`-n 2`) shares its tests out."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

NETWORK = "tests/system/"
"""Its tests share one whole network, and take a third of the time: one worker begins with them."""


class WholeFiles(LoadScopeScheduling):
    """Whichever worker is free takes the next file, whose tests share fixtures."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return NETWORK if nodeid.startswith(NETWORK) else nodeid.split("::", 1)[0]


def network_first(items: list[pytest.Item]) -> None:
    """Bring the tests of the whole network before all others, which stay in their order."""
    items.sort(key=lambda item: not item.nodeid.startswith(NETWORK))
