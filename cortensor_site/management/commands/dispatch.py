"""The `dispatch` process."""

from cortensor_site.management.service import ServiceCommand
from mining.assignment.dispatch import run


class Command(ServiceCommand):
    help = "Assign queued tasks to miners. Runs until stopped."
    loop = staticmethod(run)
    waits_for_disk = False  # a lease whose commit is lost is given again
