"""The `react` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Do what follows from the chain's news. Runs until stopped."
    loop = "mining.progress.reactions.run"
