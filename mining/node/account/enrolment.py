"""Asks a router for this node's mailbox. The node proves its key by a signature."""

from urllib.parse import urlsplit

import httpx

from chain.protocol.messages import Enrolment, SigningDomain
from mining.node.account.wallet import Wallet
from mining.node.errors import NodeError

TIMEOUT_S = 20.0


class EnrolmentFailed(NodeError):
    """The router refuses to give the node a mailbox, or is not a router."""


class RouterUnavailable(EnrolmentFailed):
    """The router does not answer or is overloaded. A later attempt may succeed."""

    temporary = True


def enrol(router_url: str, wallet: Wallet) -> str:
    """Get a new URL for this node's mailbox. An earlier URL no longer opens it.

    Raises:
        RouterUnavailable: the router does not answer or is overloaded.
        EnrolmentFailed: the router refuses, or its answer is not that of a router.
    """
    base = f"{router_url.rstrip('/')}/api/v1/nodes"
    host = urlsplit(router_url).netloc
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            challenge = _read(client.post(f"{base}/challenge", json={"address": wallet.address}))
            # Sign the host of ROUTER_URL, never one that the answer names. So a router cannot pass
            # the proof on to another router.
            proof = Enrolment(wallet.address, host, str(challenge["challenge"]))
            domain = SigningDomain(int(str(challenge["chain_id"])), str(challenge["node_pool"]))
            body = {
                "address": wallet.address,
                "challenge": proof.challenge,
                "signature": "0x" + wallet.sign(proof, domain).hex(),
            }
            return str(_read(client.post(f"{base}/enrol", json=body))["redis_url"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RouterUnavailable(f"ROUTER_URL: {router_url} does not answer ({error})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise EnrolmentFailed(f"ROUTER_URL: {router_url} is not a router ({error})") from error


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
