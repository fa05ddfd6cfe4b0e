"""The `network_tasks` process."""

from cortensor_site.management.service import ServiceCommand
from mining.network.rounds import run


class Command(ServiceCommand):
    help = "Give idle miners network tasks, and bring them their pay. Runs until stopped."
    loop = staticmethod(run)
