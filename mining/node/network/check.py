"""Is a node really asked for this part of a network task? Held against Cognitive before it signs.

Without an RPC endpoint a node believes its router. What it could lose then is work for nothing,
and a completion that it reveals too early: its signatures count for one contract only.
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
"""Of NetworkState, in NetworkTypes.sol."""


class NetworkCheck:
    """Holds jobs against the Cognitive that the node's owner trusts.

    Args:
        contract: Cognitive's address, from the network's operator and not from a job.
    """

    def __init__(self, rpc: Rpc, contract: str, address: str) -> None:
        self._rpc = rpc
        self._contract = contract
        self._address = address.lower()
        self._chain_id: int | None = None

    def require(self, job: NetworkJob) -> None:
        """Raise JobRefused unless the chain asks this node for this; or ChainUnavailable."""
        if self._chain_id is None:
            # Asked late: a chain that is away must not keep a node from users' tasks.
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
            raise JobRefused(f"network task {job.number}: the chain has none ({error})") from error

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
                " or not with these words"
            )

    def _prompt_of(self, job: NetworkJob) -> str:
        (prompt,) = self._rpc.call(self._contract, "getPrompt(uint256)", [job.number], ["string"])
        return str(prompt)
