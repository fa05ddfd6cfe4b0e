"""The `react` process."""

from cortensor_site.management.service import ServiceCommand
from mining.progress.reactions import run


class Command(ServiceCommand):
    help = "Do what follows from the chain's news. Runs until stopped."
    loop = staticmethod(run)
