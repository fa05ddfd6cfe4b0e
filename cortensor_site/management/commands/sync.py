"""The `sync` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Follow the chain's logs and keep the mirror. Runs until stopped."
    loop = "chain.following.sync.run"
