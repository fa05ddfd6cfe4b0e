"""Makes an API key and prints it, once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from eth_utils.address import is_address

from sessions.models import ApiKey


class Command(BaseCommand):
    help = "Make an API key for an account's sessions. The key is printed once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="who or what it is for")
        parser.add_argument(
            "--owner",
            required=True,
            metavar="ADDRESS",
            help="the account whose sessions it may use",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not is_address(options["owner"]):
            raise CommandError(
                f"--owner: {options['owner']!r} is no account; give 0x and 40 hex digits"
            )
        _, secret = ApiKey.issue(options["name"], options["owner"])
        self.stdout.write(secret)
