"""The `bootstrap` command, which prepares a network on empty servers."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from cortensor_site.bootstrap import prepare


class Command(BaseCommand):
    help = (
        "Migrate the database, deploy the contracts, register and enrol the miners with the given "
        "homes, and create API keys for clients. Safe to run again. Prints one line of JSON."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--miner-home", type=Path, action="append", default=[], metavar="DIR")
        parser.add_argument("--client", required=True, metavar="ADDRESS")
        parser.add_argument("--example", metavar="ADDRESS", help="default: the client's")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        prepared = prepare(
            miner_homes=options["miner_home"],
            client=options["client"],
            example=options["example"] or options["client"],
        )
        self.stdout.write(json.dumps(prepared))
