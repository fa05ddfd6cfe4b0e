"""The `oracle` process."""

from cortensor_site.management.service import ServiceCommand


class Command(ServiceCommand):
    help = "Replace late miners and force stuck stages on. Runs until stopped."
    loop = "mining.progress.oracle.run"
