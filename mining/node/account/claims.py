"""Past a router that withholds a node's work: precommit and commit by transactions of its own.

What the node had signed is in its stash, salt included, so that it needs nobody else for either.
"""

from collections.abc import Iterator
from pathlib import Path

from chain.protocol.digests import commit_hash
from mining.node.account.evm import CallReverted, Rpc
from mining.node.account.transactions import transact
from mining.node.account.wallet import Wallet
from mining.node.disk.stash import Stash


def claim_all(wallet: Wallet, rpc: Rpc, stash_folder: Path) -> Iterator[str]:
    """Send what the contract takes of every kept result; a line for each says what came of it."""
    chain_id = rpc.chain_id()
    for result in Stash(stash_folder):
        name = f"task {result.session_id}/{result.task_id}"
        if result.chain_id != chain_id:
            yield f"{name}: of chain {result.chain_id}, and this is {chain_id}"
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
                yield f"{name}: {step} is not taken ({error})"
