"""Precommits and commits results by the node's own transactions, if a router does not relay them.

The stash holds the results with their salts, so the node needs nothing from the router.
"""

from collections.abc import Iterator
from pathlib import Path

from chain.protocol.digests import commit_hash
from mining.node.account.evm import CallReverted, Rpc
from mining.node.account.transactions import transact
from mining.node.account.wallet import Wallet
from mining.node.disk.stash import Stash


def claim_all(wallet: Wallet, rpc: Rpc, stash_folder: Path) -> Iterator[str]:
    """Send the precommit and the commit of every stashed result to the contract.

    Yield a line for each transaction. A result of another chain, and a call that the contract
    refuses, yield a line that says so.

    Raises:
        ChainUnavailable: the chain does not answer.
    """
    chain_id = rpc.chain_id()
    for result in Stash(stash_folder):
        name = f"task {result.session_id}/{result.task_id}"
        if result.chain_id != chain_id:
            yield f"{name}: belongs to chain {result.chain_id}, not {chain_id}"
            continue
        task = [result.session_id, result.task_id]
        digest = commit_hash(result.session_id, result.task_id, wallet.address, result.data)
        for step, signature, arguments in (
            ("precommit", "precommit(uint256,uint256,bytes32,string)", [*task, digest, ""]),
            ("commit", "commit(uint256,uint256,string)", [*task, result.data]),
        ):
            try:
                sent = transact(wallet, rpc, result.queue_address, signature, arguments)
                yield f"{name}: {step} {sent}"
            except CallReverted as error:
                yield f"{name}: {step} is refused ({error})"
