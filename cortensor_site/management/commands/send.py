"""The `send` process."""

from chain.sending.sender import run
from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Send the outbox's operations to the chain in batches. Runs until stopped."
    loop = staticmethod(run)
