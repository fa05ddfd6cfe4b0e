"""Create a miner's mailbox."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mining.assignment.mailbox_quota import let_in_again
from mining.enrolment.redis_users import NoSuchAddress, enrol


class Command(BaseCommand):
    help = (
        "Create a mailbox for a miner and print its REDIS_URL, which is not stored. Run the command"
        " again for a new password, and after a restart of Redis, which forgets its users. A"
        " suspended miner is admitted again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", required=True, help="the miner's account, 0x…")
        parser.add_argument("--url-only", action="store_true", help="print only the URL")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            url = enrol(options["address"])
            let_in_again([options["address"].lower()])
        except NoSuchAddress as error:
            raise CommandError(str(error)) from error
        if options["url_only"]:
            self.stdout.write(url)
        else:
            self.stdout.write(f"Set this in the environment of miner {options['address']}:")
            self.stdout.write(f"REDIS_URL={url}")
