"""The names of a mailbox's Redis keys, of its queues, and of the Celery tasks that it carries."""

INFER, REVEAL, CANCEL = "mining.node.infer", "mining.node.reveal", "mining.node.cancel"
SHORTEN, NETWORK = "mining.node.shorten", "mining.node.network"
"""Celery tasks: do a job, reveal, cancel or shorten its answer, and do a part of a network task."""
INFERENCE_QUEUE, CONTROL_QUEUE, NETWORK_QUEUE = "inference", "control", "network_tasks"
MAILBOXES = "miner:"
"""The prefix of the keys of all mailboxes."""
REPORTS_KEY, FACTS_KEY = "reports", "network"
"""Keys behind a mailbox's prefix: the miner's stream of reports, and the router's NetworkFacts."""


def mailbox_prefix(address: str) -> str:
    """Return the prefix of every key in a miner's mailbox."""
    return f"{MAILBOXES}{address.lower()}:"
