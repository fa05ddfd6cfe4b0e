"""The `network_tasks` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Give idle miners network tasks, and bring them their pay. Runs until stopped."
    loop = "mining.network.rounds.run"
