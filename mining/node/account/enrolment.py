"""Asking a router for this node's mailbox, by proof of its key."""

from urllib.parse import urlsplit

import httpx

from chain.protocol.messages import Enrolment, SigningDomain
from mining.node.account.wallet import Wallet
from mining.node.errors import NodeError

TIMEOUT_S = 20.0


class EnrolmentFailed(NodeError):
    """The router gave no mailbox."""


class RouterUnavailable(EnrolmentFailed):
    """The router does not answer, or has no room. It may later."""

    temporary = True


def enrol(router_url: str, wallet: Wallet) -> str:
    """The REDIS_URL of this node's mailbox. What an earlier one said opens nothing any more.

    Raises:
        EnrolmentFailed: the router refuses, is none, or does not answer.
    """
    base = f"{router_url.rstrip('/')}/api/v1/nodes"
    host = urlsplit(router_url).netloc
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            asked = _read(client.post(f"{base}/challenge", json={"address": wallet.address}))
            # The host is the one that was asked, whatever the router says that it is.
            proof = Enrolment(wallet.address, host, str(asked["challenge"]))
            domain = SigningDomain(int(str(asked["chain_id"])), str(asked["node_pool"]))
            body = {
                "address": wallet.address,
                "challenge": proof.challenge,
                "signature": "0x" + wallet.sign(proof, domain).hex(),
            }
            return str(_read(client.post(f"{base}/enrol", json=body))["redis_url"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RouterUnavailable(f"ROUTER_URL: {router_url} does not answer ({error})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise EnrolmentFailed(f"ROUTER_URL: {router_url} is no router ({error})") from error


def _read(answer: httpx.Response) -> dict[str, object]:
    if answer.is_error:
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = answer.reason_phrase
        away = answer.is_server_error or answer.status_code == 429
        kind = RouterUnavailable if away else EnrolmentFailed
        raise kind(f"the router refuses ({answer.status_code}): {detail}")
    body: dict[str, object] = answer.json()
    return body
