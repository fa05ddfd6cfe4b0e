"""The `sync` process."""

from chain.following.sync import run
from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Follow the chain's logs and keep the mirror. Runs until stopped."
    loop = staticmethod(run)
