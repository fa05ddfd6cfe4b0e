"""Pay per call: a client that has a wallet and nothing else pays for each task, by x402.

`docs/x402.md` is for those who use it; the protocol's own words are kept: requirements, payload,
settlement. The *till* is the account that payments go to.
"""

TILL_KEYSTORE = "x402.json"
"""In `KEYSTORE_DIR`. Its key signs refunds, which others send: it needs no gas money."""
