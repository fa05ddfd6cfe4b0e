"""The validator's key, read once."""

from functools import cache

from django.conf import settings
from eth_account.signers.local import LocalAccount

from chain.deployed.keys import load


@cache
def validator() -> LocalAccount:
    """The account whose verdicts count; its keystore is made when the network is prepared."""
    password = settings.KEYSTORE_PASSWORD_FILE.read_text().strip()
    return load(settings.KEYSTORE_DIR / "validator.json", password)
