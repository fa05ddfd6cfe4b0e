"""Payment per call by x402, for clients that have a wallet and no API key.

`docs/x402.md` is the guide for clients. The code uses the protocol's terms: requirements, payload,
settlement. The *till* is the account that receives the payments.
"""

TILL_KEYSTORE = "x402.json"
"""In `KEYSTORE_DIR`. Its key only signs refunds, which another account sends: it needs no gas."""
