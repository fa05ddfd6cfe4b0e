"""The `rebuild_mirror` command, which rebuilds the mirror or checks it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chain.deployed.contracts import deployment
from chain.errors import ChainError
from chain.following import comparison
from chain.following.progress import Progress
from chain.following.sync import Follower
from chain.mirror import blocks
from chain.models import Event
from chain.rpc.endpoints import endpoints


class Command(BaseCommand):
    help = (
        "Empty the mirror and rebuild it from the stored events. Safe while sync runs, and safe to "
        "run again. With --check, nothing is changed: each difference is printed, and the exit "
        "status is 1 if there is one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from-chain", action="store_true", help="fetch all logs from the chain again"
        )
        parser.add_argument("--check", action="store_true", help="compare only")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["check"]:
                self._check(from_chain=options["from_chain"])
            elif options["from_chain"]:
                self._fetch()
            else:
                blocks.rebuild()
                self.stdout.write(f"rebuilt from {Event.objects.count():,} events")
        except ChainError as error:
            raise CommandError(str(error)) from error

    def _check(self, *, from_chain: bool) -> None:
        found = (
            comparison.differences_from_chain(endpoints(), deployment(), self._progress())
            if from_chain
            else comparison.differences_from_events()
        )
        for line in found:
            self.stdout.write(line)
        if found:
            raise CommandError(f"{len(found)} differences", returncode=1)
        self.stdout.write("no difference")

    def _fetch(self) -> None:
        # If this command is killed, the mirror is shorter, and sync continues from there.
        follower = Follower(endpoints(), deployment())
        follower.require_chain()
        blocks.forget()
        progress = self._progress()
        while follower.step():
            progress.report(follower.position)
        self.stdout.write(f"rebuilt from {follower.position.events:,} events of the chain")

    def _progress(self) -> Progress:
        return Progress(self.stdout.write)
