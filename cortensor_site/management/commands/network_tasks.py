"""The `network_tasks` process."""

from cortensor_site.management.service import ServiceCommand
from mining.network.rounds import run


class Command(ServiceCommand):
    help = "Give network tasks to idle miners, and claim their rewards. Runs until stopped."
    loop = staticmethod(run)
