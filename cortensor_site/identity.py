"""The account from which this router submits tasks."""

from functools import cache

from django.conf import settings

from chain.deployed.keys import address_in


@cache
def router_address() -> str:
    """Return the address of the router's keystore. Only the sender opens the key itself."""
    return address_in(settings.KEYSTORE_DIR / "router.json")
