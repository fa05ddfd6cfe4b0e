"""Enrols a node that proves its address: it signs a challenge, and NodePool has registered it.

The router signs each challenge. A challenge is valid for one minute, for one node and once. The
node signs the challenge together with the host name that it sends the request to, so that another
router cannot forward the proof.
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
"""A mailbox may be given to another node if its node has sent no heartbeat for this long."""
_SALT = "mining.enrolment"

logger = logging.getLogger(__name__)


class EnrolmentRefused(MiningError):
    """The proof is invalid, or the node may not enrol."""


class NoRoom(MiningError):
    """The router has as many mailboxes as it allows. There may be room later."""


class NotRegistered(EnrolmentRefused):
    """NodePool does not have the node, as far as this router has read the chain."""


def challenge_for(address: str) -> str:
    """Return a challenge for a node to sign. Raises NoSuchAddress."""
    if not is_address(address):
        raise NoSuchAddress("address: it is not an account's address; give 0x and 40 hex digits")
    word = f"{address.lower()}:{secrets.token_hex(16)}"
    return signing.TimestampSigner(salt=_SALT).sign(word)


def enrol_by_proof(address: str, challenge: str, signature: bytes, host: str) -> str:
    """Create a node's mailbox and return its REDIS_URL. An earlier password becomes invalid.

    Args:
        address: the node's address.
        challenge: the challenge from `challenge_for`.
        signature: the node's signature of an `Enrolment`.
        host: the router's host name and port, as in the node's request.

    Raises:
        EnrolmentRefused: the challenge is wrong, expired or used, the signature is wrong, or the
            node is suspended.
        NotRegistered: NodePool does not have the node.
        NoRoom: the router has no room for another mailbox.
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
            f"signature: by {signer}, not by {message.node}; sign this router's host name ({host})"
            " and the challenge with the node's key"
        )
    node = Node.objects.filter(pk=address.lower()).first()
    if node is None or node.state == NodeState.UNKNOWN:
        raise NotRegistered(f"address: NodePool does not know {address}; register it first")
    presence = MinerPresence.objects.filter(pk=node.address).first()
    if presence is not None and presence.suspended_at is not None:
        raise EnrolmentRefused(
            f"address: {address} is suspended here: {presence.suspended_for}; ask the router's"
            " operator to admit it again"
        )
    _use_up(challenge)
    _require_room(node.address)
    return enrol(address)


def _require_room(address: str) -> None:
    """Raise NoRoom if there is no room for the node's mailbox. Revoke an unused one if need be."""
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
            f"this router has {settings.MAX_MAILBOXES} mailboxes, the most that it allows;"
            " try again later, or use another router"
        )
    logger.warning("%s has sent no heartbeat for long: %s gets its room", unused[0], address)
    revoke(unused[0])


def _require_own(challenge: str, address: str) -> None:
    try:
        word = signing.TimestampSigner(salt=_SALT).unsign(challenge, max_age=CHALLENGE_S)
    except signing.BadSignature as error:
        raise EnrolmentRefused(
            f"challenge: this router did not make it, or it is older than {CHALLENGE_S} s; ask"
            " for a new one"
        ) from error
    if not is_address(address) or not word.startswith(address.lower() + ":"):
        raise EnrolmentRefused("challenge: it was made for another address; ask for one")


def _use_up(challenge: str) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        if not client.set(f"router:enrolment:{challenge}", "1", nx=True, ex=CHALLENGE_S + 5):
            raise EnrolmentRefused("challenge: it has been used; ask for a new one")
