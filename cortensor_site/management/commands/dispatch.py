"""The `dispatch` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Assign queued tasks to miners. Runs until stopped."
    loop = "mining.assignment.dispatch.run"
    waits_for_disk = False  # a lease that is lost is given again
