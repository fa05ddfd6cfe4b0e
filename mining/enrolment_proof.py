"""How a node proves that a mailbox is its own: its key signs a challenge, and the chain knows it.

A challenge is the router's own signed word, good for a minute, for one node and once. The node
signs it together with the name of the host that it asks, so that no other router can pass the
proof on.
"""

import secrets

import redis
from django.conf import settings
from django.core import signing
from eth_utils.address import is_address, to_checksum_address

from chain.contracts import deployment
from chain.messages import Enrolment, InvalidSignature, SigningDomain, recover
from mining.enrolment import NoSuchAddress, enrol
from mining.errors import MiningError
from mining.models import Node, NodeState

CHALLENGE_S = 60
_SALT = "mining.enrolment"


class EnrolmentRefused(MiningError):
    """The proof does not hold."""


class NotRegistered(EnrolmentRefused):
    """The chain does not know this node, as far as this router has followed it."""


def challenge_for(address: str) -> str:
    """A challenge for a node to sign. Raises NoSuchAddress."""
    if not is_address(address):
        raise NoSuchAddress("address: it is no account's address; give 0x and 40 hex digits")
    word = f"{address.lower()}:{secrets.token_hex(16)}"
    return signing.TimestampSigner(salt=_SALT).sign(word)


def enrol_by_proof(address: str, challenge: str, signature: bytes, host: str) -> str:
    """Give a node its mailbox; its REDIS_URL. What it had before opens nothing any more.

    Args:
        host: what the node calls this router, with the port.

    Raises:
        EnrolmentRefused: the challenge or the signature is wrong, old or used.
        NotRegistered: the chain does not know the node.
    """
    _require_own(challenge, address)
    network = deployment()
    domain = SigningDomain(network.chain_id, network.addresses["NodePool"])
    message = Enrolment(to_checksum_address(address), host, challenge)
    try:
        signer = recover(message, domain, signature)
    except InvalidSignature as error:
        raise EnrolmentRefused(str(error)) from error
    if signer != message.node:
        raise EnrolmentRefused(
            f"signature: by {signer}, not by {message.node}; sign with the node's key what this"
            f" router calls itself ({host}) and the challenge"
        )
    node = Node.objects.filter(pk=address.lower()).first()
    if node is None or node.state == NodeState.UNKNOWN:
        raise NotRegistered(f"address: NodePool does not know {address}; register it first")
    _use_up(challenge)
    return enrol(address)


def _require_own(challenge: str, address: str) -> None:
    try:
        word = signing.TimestampSigner(salt=_SALT).unsign(challenge, max_age=CHALLENGE_S)
    except signing.BadSignature as error:
        raise EnrolmentRefused(
            f"challenge: it is not this router's or older than {CHALLENGE_S} s; ask for a new one"
        ) from error
    if not is_address(address) or not word.startswith(address.lower() + ":"):
        raise EnrolmentRefused("challenge: it was made for another address; ask for one")


def _use_up(challenge: str) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        if not client.set(f"router:enrolment:{challenge}", "1", nx=True, ex=CHALLENGE_S + 5):
            raise EnrolmentRefused("challenge: it has been used; ask for a new one")
