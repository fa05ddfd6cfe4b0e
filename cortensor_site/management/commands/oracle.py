"""The `oracle` process."""

from cortensor_site.management.service import ServiceCommand
from mining.progress.oracle import run


class Command(ServiceCommand):
    help = "Replace late miners and end overdue stages. Runs until stopped."
    loop = staticmethod(run)
