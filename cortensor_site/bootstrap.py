"""Prepares a network on empty servers: keys, contracts, nodes, mailboxes and API keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from django.conf import settings
from django.db import transaction
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.types import RPCEndpoint

from chain import operations
from chain.deployed.contracts import Deployment, connect, handle
from chain.deployed.deploy import ModelPrice, RoleHolders, deploy, fund_rewards
from chain.deployed.keys import load_or_create
from chain.protocol.messages import Registration, SigningDomain
from chain.sending import outbox
from cortensor_site.secrets import kept_secret
from mining.enrolment.redis_users import enrol
from mining.models import NodeState
from mining.node.account.wallet import Wallet
from sessions.models import ApiKey

PRICE = ModelPrice(input_wei=10**12, output_wei=3 * 10**12)
"""The price of the first model on a network that this command deploys."""
PRICE_BESIDE = ModelPrice(input_wei=10**11, output_wei=3 * 10**11)
"""The price of the other models, which are smaller."""
REWARDS_WEI = 1_000_000 * 10**18
"""The $COR that the treasury of a development network puts into the reward pool."""
FUNDS_WEI = 100 * 10**18
"""The native coin that accounts get for gas on a development chain."""


class PreparedMiner(TypedDict):
    """A miner's account, and the REDIS_URL of its mailbox, which contains a password.

    The URL is stored nowhere.
    """

    address: str
    redis_url: str


class Prepared(TypedDict):
    """What the program that starts the network's processes needs to know."""

    api_key: str
    example_key: str
    miners: list[PreparedMiner]


def prepare(miner_homes: Sequence[Path], client: str, example: str) -> Prepared:
    """Deploy the contracts, register and enrol miners, and create API keys. Safe to repeat.

    The database must be migrated. Nodes are registered through the outbox, so their registration
    takes effect once the sender runs.

    Args:
        miner_homes: home folders of this operator's miners. A missing key is created.
        client: address of the account that the API key acts for.
        example: address of the account that the example's API key acts for. Only the example
            pays from this account's sessions.
    """
    w3 = connect(settings.RPC_URL)
    deployer, *others = (_account(n) for n in ("deployer", "router", "oracle", "validator"))
    router, oracle, validator = (account.address for account in others)
    if settings.FUND_ACCOUNTS:
        _fund(w3, [deployer.address, client, example])
    roles = RoleHolders(router, oracle, validator, treasury=deployer.address)
    deployment = deploy(
        w3,
        deployer,
        roles,
        {number: PRICE if number == 1 else PRICE_BESIDE for number in settings.MODELS},
        epoch_s=settings.NETWORK_EPOCH_S,
    )
    if settings.FUND_ACCOUNTS:
        fund_rewards(w3, deployment, deployer, REWARDS_WEI)
    miners = [_prepare_miner(w3, deployment, home) for home in miner_homes]
    return Prepared(
        api_key=_api_key("client", client, settings.VAR_DIR / "api_key"),
        example_key=_api_key("example", example, settings.VAR_DIR / "example_key"),
        miners=miners,
    )


def _account(name: str) -> LocalAccount:
    password = kept_secret(settings.KEYSTORE_PASSWORD_FILE)
    return load_or_create(settings.KEYSTORE_DIR / f"{name}.json", password)


def _fund(w3: Web3, addresses: Sequence[str]) -> None:
    for address in map(to_checksum_address, addresses):
        if w3.eth.get_balance(address) < FUNDS_WEI // 2:
            w3.provider.make_request(RPCEndpoint("anvil_setBalance"), [address, hex(FUNDS_WEI)])


def _prepare_miner(w3: Web3, deployment: Deployment, home: Path) -> PreparedMiner:
    wallet = Wallet.create_or_open(home)
    _register(w3, deployment, wallet)
    return PreparedMiner(address=wallet.address, redis_url=enrol(wallet.address))


@transaction.atomic
def _register(w3: Web3, deployment: Deployment, wallet: Wallet) -> None:
    """Enqueue the operations that this node still needs before it can be assigned to tasks."""
    pool = handle(w3, deployment, "NodePool")
    node = to_checksum_address(wallet.address)
    state = pool.functions.getNode(node).call()[2]
    if state == NodeState.UNKNOWN:
        nonce = pool.functions.nonces(node).call()
        registration = Registration(node=node, operator=node, nonce=nonce)
        domain = SigningDomain(deployment.chain_id, pool.address)
        outbox.enqueue(operations.register_node(registration, wallet.sign(registration, domain)))
    if state in (NodeState.UNKNOWN, NodeState.REGISTERED):
        outbox.enqueue(operations.set_node_state(node, NodeState.EPHEMERAL, "bootstrap"))


def _api_key(name: str, client: str, path: Path) -> str:
    """Return the client's API key from an earlier run, or a new one.

    The key is stored in a file, which is acceptable on a development network only.
    """
    kept = ApiKey.find(path.read_text()) if path.exists() else None
    if kept is not None and kept.owner == client.lower():
        return path.read_text()
    _, secret = ApiKey.issue(name, client)
    path.touch(mode=0o600)
    path.write_text(secret)
    return secret
