"""The bloom filter of a header is computed as the chain computes it."""

from chain.following import blooms
from chain.rpc.client import Rpc
from tests.anvil import Chain


def test_a_blocks_filter_is_that_of_all_its_logs(chain: Chain) -> None:
    chain.open_session()
    node = Rpc(chain.url)
    head = node.latest()
    block = node.call("eth_getBlockByHash", head.hash, False)
    receipts = node.batch([("eth_getTransactionReceipt", [h]) for h in block["transactions"]])
    logs = [log for receipt in receipts for log in receipt["logs"]]
    assert len({log["address"] for log in logs}) > 1
    assert blooms.bloom_of(logs) == head.logs_bloom > 0
    assert blooms.bloom_of(logs[1:]) != head.logs_bloom
    for log in logs:
        assert blooms.may_have(head.logs_bloom, log["address"])
        assert all(blooms.may_have(head.logs_bloom, topic) for topic in log["topics"])
    assert not blooms.may_have(head.logs_bloom, "0x" + "99" * 20)


def test_a_filter_with_more_than_half_of_its_bits_is_saturated() -> None:
    assert not blooms.is_saturated(2**1024 - 1)
    assert blooms.is_saturated(2**1025 - 1)
