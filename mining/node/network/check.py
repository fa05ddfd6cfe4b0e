"""Checks a part of a network task against the contract Cognitive before the node signs it.

A node without an RPC endpoint trusts its router. It then risks doing work for nothing, and
revealing a completion too early. It risks no more, since its signatures are valid for one contract
only.
"""

from mining.node.account.evm import CallReverted, Rpc
from mining.node.network.job import NetworkJob, Stage
from mining.node.worker.task_check import JobRefused

_REQUEST = "(address,uint8,bool,uint40,uint64,uint256,uint256,address[])"
_SESSION = (
    "(uint256,uint256,uint256,string,string,uint256,uint256,string[],address[],uint8,uint256,"
    "uint256,address,address[],uint256,bytes32[],bytes32[],string[],uint256,address[])"
)
_CREATED, _STARTED, _PRECOMMITTED = 1, 3, 4
"""Values of NetworkState, in NetworkTypes.sol."""


class NetworkCheck:
    """Checks jobs against the Cognitive contract that the node's owner trusts.

    Args:
        rpc: the chain.
        contract: Cognitive's address, from the network's operator and not from a job.
        address: the node's address.
    """

    def __init__(self, rpc: Rpc, contract: str, address: str) -> None:
        self._rpc = rpc
        self._contract = contract
        self._address = address.lower()
        self._chain_id: int | None = None

    def require(self, job: NetworkJob) -> None:
        """Check a job.

        Raises:
            JobRefused: the chain does not ask this node for this part now.
            ChainUnavailable: the chain does not answer.
        """
        if self._chain_id is None:
            # Ask only now: a node must be able to start, for users' tasks, without the chain.
            self._chain_id = self._rpc.chain_id()
        if job.contract.lower() != self._contract.lower() or job.chain_id != self._chain_id:
            raise JobRefused(
                f"contract: {job.contract} on chain {job.chain_id} is not the Cognitive that this"
                f" node works for ({self._contract} on chain {self._chain_id})"
            )
        if job.stage == Stage.PING:
            return
        try:
            if job.stage == Stage.CREATE:
                self._require_creator(job)
            else:
                self._require_part(job)
        except CallReverted as error:
            raise JobRefused(
                f"network task {job.number}: the chain does not have it ({error})"
            ) from error

    def _require_creator(self, job: NetworkJob) -> None:
        (request,) = self._rpc.call(self._contract, "getRequest(uint256)", [job.number], [_REQUEST])
        _, asked, closed, _, draw_block, seed, session_id, creators = request
        is_open = not closed and draw_block == 0 and session_id == 0 and asked < len(creators)
        if not is_open or seed != job.seed or creators[asked] != self._address:
            raise JobRefused(f"request {job.number}: the chain does not ask this node to create it")

    def _require_part(self, job: NetworkJob) -> None:
        (session,) = self._rpc.call(self._contract, "get(uint256)", [job.number], [_SESSION])
        seed, domain, subdomain = session[2:5]
        miners, state = session[8:10]
        preparers, turn = session[13:15]
        if job.stage == Stage.PREPARE:
            asked = state == _CREATED and preparers[turn : turn + 1] == (self._address,)
            meant = (domain, subdomain) == (job.domain, job.subdomain)
        else:
            wanted = _STARTED if job.stage == Stage.COMPLETE else _PRECOMMITTED
            asked = state == wanted and self._address in miners
            meant = job.stage == Stage.REVEAL or self._prompt_of(job) == job.prompt
        if seed != job.seed or not asked or not meant:
            raise JobRefused(
                f"network task {job.number}: the chain does not ask this node for {job.stage} now,"
                " or asks with another text"
            )

    def _prompt_of(self, job: NetworkJob) -> str:
        (prompt,) = self._rpc.call(self._contract, "getPrompt(uint256)", [job.number], ["string"])
        return str(prompt)
