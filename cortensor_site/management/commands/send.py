"""The `send` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Send the outbox's operations to the chain in batches. Runs until stopped."
    loop = "chain.sending.sender.run"
