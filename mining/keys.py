"""Reads the validator's key, once in each process."""

from functools import cache

from django.conf import settings
from eth_account.signers.local import LocalAccount

from chain.deployed.keys import load


@cache
def validator() -> LocalAccount:
    """Return the account that signs verdicts. The network's deployment creates its keystore."""
    password = settings.KEYSTORE_PASSWORD_FILE.read_text().strip()
    return load(settings.KEYSTORE_DIR / "validator.json", password)
