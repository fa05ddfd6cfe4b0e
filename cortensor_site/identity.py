"""Which account this router submits from."""

from functools import cache

from django.conf import settings

from chain.deployed.keys import address_in


@cache
def router_address() -> str:
    """The address of the router's keystore; the key itself stays with the sender."""
    return address_in(settings.KEYSTORE_DIR / "router.json")
