"""How a mailbox is called: its keys in Redis, its queues, and the Celery tasks that it carries."""

INFER, REVEAL, CANCEL = "mining.node.infer", "mining.node.reveal", "mining.node.cancel"
SHORTEN, NETWORK = "mining.node.shorten", "mining.node.network"
"""Celery tasks: a job, the three things that may be said of it, and a part of a network task."""
INFERENCE_QUEUE, CONTROL_QUEUE, NETWORK_QUEUE = "inference", "control", "network_tasks"
MAILBOXES = "miner:"
"""What the keys of all mailboxes begin with."""
REPORTS_KEY, FACTS_KEY = "reports", "network"
"""Behind a mailbox's prefix: the stream of its reports, and what the router says of its network."""


def mailbox_prefix(address: str) -> str:
    """What each key of a miner's mailbox begins with."""
    return f"{MAILBOXES}{address.lower()}:"
