"""The commands that send a node's own transactions. The node pays the gas of each."""

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mining.node import config as settings
from mining.node.account.wallet import Wallet

if TYPE_CHECKING:
    from mining.node.account.evm import Rpc


def register(options: argparse.Namespace) -> int:
    """Register the node with NodePool."""
    from mining.node.account.transactions import transact

    pool = _required(options, "POOL_ADDRESS")
    return _on_chain(options, lambda wallet, rpc: [transact(wallet, rpc, pool, "register()", [])])


def announce_models(options: argparse.Namespace) -> int:
    """Tell NodePool which models the node serves, so that the chain draws it only for these."""
    from mining.node.account.transactions import transact
    from mining.node.shelf.model_list import ModelList

    pool = _required(options, "POOL_ADDRESS")
    numbers = [model.identifier for model in ModelList(options.home)]

    def act(wallet: Wallet, rpc: "Rpc") -> Iterable[str]:
        node = wallet.address
        yield transact(wallet, rpc, pool, "setModels(address,uint256[])", [node, numbers])

    return _on_chain(options, act)


def stake(options: argparse.Namespace) -> int:
    """Stake $COR for the node."""
    from mining.node.account.staking import amount_from
    from mining.node.account.staking import stake as add_stake

    pool, wei = _required(options, "POOL_ADDRESS"), amount_from(options.amount)
    return _on_chain(
        options,
        lambda wallet, rpc: add_stake(wallet, rpc, pool, options.node or wallet.address, wei),
    )


def unbond(options: argparse.Namespace) -> int:
    """Begin to unbond some of the node's stake."""
    from mining.node.account.staking import amount_from
    from mining.node.account.transactions import transact

    pool, wei = _required(options, "POOL_ADDRESS"), amount_from(options.amount)

    def act(wallet: Wallet, rpc: "Rpc") -> Iterable[str]:
        node = options.node or wallet.address
        yield transact(wallet, rpc, pool, "unbond(address,uint256)", [node, wei])

    return _on_chain(options, act)


def withdraw(options: argparse.Namespace) -> int:
    """Pay out the node's earnings or, with --stake, the stake that has unbonded."""
    from mining.node.account.transactions import transact

    contract = _required(options, "POOL_ADDRESS" if options.stake else "QUEUE_ADDRESS")

    def act(wallet: Wallet, rpc: "Rpc") -> Iterable[str]:
        if options.stake:
            node = options.node or wallet.address
            yield transact(wallet, rpc, contract, "withdrawStake(address)", [node])
        else:
            (payment,) = rpc.call(contract, "payment()", [], ["address"])
            yield transact(wallet, rpc, payment, "withdrawNodePayment()", [])

    return _on_chain(options, act)


def rewards(options: argparse.Namespace) -> int:
    """Pay out the rewards for network tasks in epochs that have ended."""
    from mining.node.network.rewards import claim_rewards

    contract = _required(options, "REWARDS_ADDRESS")
    return _on_chain(
        options, lambda wallet, rpc: claim_rewards(wallet, rpc, contract, options.epochs)
    )


def claim(options: argparse.Namespace) -> int:
    """Send the precommits, then the commits, that a router has not relayed to the contract."""
    from mining.node.account.claims import claim_all

    return _on_chain(options, lambda wallet, rpc: claim_all(wallet, rpc, options.home / "stash"))


def _on_chain(options: argparse.Namespace, act: "Callable[[Wallet, Rpc], Iterable[str]]") -> int:
    from mining.node.account.evm import Rpc

    rpc = Rpc(_required(options, "RPC_URL"))
    wallet = Wallet.open(options.home, settings.password_from(options.environment))
    for done in act(wallet, rpc):
        print(done)
    return 0


def _required(options: argparse.Namespace, name: str) -> str:
    if value := options.environment.get(name):
        return str(value)
    raise settings.ConfigError(f"{name}: the setting is missing; set it here or in node.toml")
