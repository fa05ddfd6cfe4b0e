"""The `collect` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Collect what miners report from their mailboxes. Runs until stopped."
    loop = "mining.reports.collector.run"
    waits_for_disk = False  # what is lost of a mailbox is read again
