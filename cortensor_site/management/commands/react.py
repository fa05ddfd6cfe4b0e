"""The `react` process."""

from cortensor_site.management.service import ServiceCommand
from mining.progress.reactions import run


class Command(ServiceCommand):
    help = "React to the chain's events. Runs until stopped."
    loop = staticmethod(run)
