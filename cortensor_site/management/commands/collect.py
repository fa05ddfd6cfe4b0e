"""The `collect` process."""

from cortensor_site.management.service import ServiceCommand
from mining.reports.collector import run


class Command(ServiceCommand):
    help = "Collect what miners report from their mailboxes. Runs until stopped."
    loop = staticmethod(run)
    waits_for_disk = False  # reports whose commit is lost are read again from the mailbox
