"""How a node proves that a mailbox is its own: its key signs a challenge, and the chain knows it.

A challenge is the router's own signed word, good for a minute, for one node and once. The node
signs it together with the name of the host that it asks, so that no other router can pass the
proof on.
"""

import logging
import secrets
from datetime import timedelta

import redis
from django.conf import settings
from django.core import signing
from django.utils import timezone
from eth_utils.address import is_address, to_checksum_address

from chain.deployed.contracts import deployment
from chain.protocol.messages import Enrolment, InvalidSignature, SigningDomain, recover
from mining.enrolment.redis_users import NoSuchAddress, enrol, enrolled, revoke
from mining.errors import MiningError
from mining.models import MinerPresence, Node, NodeState

CHALLENGE_S = 60
UNUSED_AFTER = timedelta(hours=1)
"""A mailbox that no heartbeat has come from for so long can be given to another node."""
_SALT = "mining.enrolment"

logger = logging.getLogger(__name__)


class EnrolmentRefused(MiningError):
    """The proof does not hold."""


class NoRoom(MiningError):
    """This router has as many mailboxes as it takes. It may have room later."""


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
        NoRoom: the router has too many mailboxes.
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
    presence = MinerPresence.objects.filter(pk=node.address).first()
    if presence is not None and presence.suspended_at is not None:
        raise EnrolmentRefused(
            f"address: {address} is suspended here: {presence.suspended_for}; ask the router's"
            " operator to let it in again"
        )
    _use_up(challenge)
    _require_room(node.address)
    return enrol(address)


def _require_room(address: str) -> None:
    """Raise NoRoom unless a mailbox more may be made. One that is not used makes room."""
    taken = set(enrolled())
    if address in taken or len(taken) < settings.MAX_MAILBOXES:
        return
    since = timezone.now() - UNUSED_AFTER
    used = set(
        MinerPresence.objects.filter(pk__in=taken, last_seen_at__gte=since).values_list(
            "pk", flat=True
        )
    )
    unused = sorted(taken - used)
    if not unused:
        raise NoRoom(
            f"this router has {settings.MAX_MAILBOXES} mailboxes, which is all that it takes;"
            " try again later, or another router"
        )
    logger.warning("%s was not heard of for long: its mailbox goes to %s", unused[0], address)
    revoke(unused[0])


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
