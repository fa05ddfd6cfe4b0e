"""The example and its own wallet."""

from cortensor_site.stack.example import DEPOSIT_WEI, Contracts, grant_test_tokens, open_session
from tests.anvil import CLIENT, DEPLOYER, Chain


def test_a_session_is_opened_with_its_deposit(chain: Chain) -> None:
    contracts = Contracts.at(chain.w3, chain.deployment)
    chain.rpc("evm_setIntervalMining", 1)
    try:
        grant_test_tokens(contracts, DEPLOYER, CLIENT)
        session_id = open_session(contracts, CLIENT, redundancy=1)
    finally:
        chain.rpc("evm_setIntervalMining", 0)
    assert contracts.payment.functions.sessionBalance(session_id).call() == DEPOSIT_WEI
