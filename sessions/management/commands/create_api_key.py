"""Creates an API key and prints it once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from eth_utils.address import is_address

from sessions.access.callers import Caller
from sessions.access.keys import KeyTerms, make_key
from sessions.errors import RequestError
from sessions.models import Scope


class Command(BaseCommand):
    help = "Create an API key for an account's sessions. It is printed once and not stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument(
            "--owner",
            required=True,
            metavar="ADDRESS",
            help="the account whose sessions the key may use",
        )
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="a scope of the key; may be repeated (default: read and submit)",
        )
        parser.add_argument(
            "--session", type=int, metavar="ID", help="the only session that the key may use"
        )
        parser.add_argument("--days", type=float, help="days until it expires (default: never)")
        parser.add_argument("--daily-wei", type=int, metavar="WEI", help="budget per UTC day")
        parser.add_argument("--daily-tokens", type=int, metavar="N", help="budget per UTC day")

    def handle(self, *args: Any, **options: Any) -> None:
        owner, days = str(options["owner"]), options.get("days")
        if not is_address(owner):
            raise CommandError(f"--owner: {owner!r} is not an account; give 0x and 40 hex digits")
        if days is not None and days <= 0:
            raise CommandError(f"--days: {days:g} is in the past; give more than 0")
        for name in ("daily_wei", "daily_tokens"):
            if (options.get(name) or 0) < 0:
                raise CommandError(f"--{name.replace('_', '-')}: give 0 or more")
        scopes = options.get("scope") or [Scope.READ, Scope.SUBMIT]
        terms = KeyTerms(
            scopes=tuple(Scope(scope) for scope in dict.fromkeys(scopes)),
            session_id=options.get("session"),
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
            daily_wei=options.get("daily_wei"),
            daily_tokens=options.get("daily_tokens"),
        )
        try:
            _, secret = make_key(Caller(owner.lower()), options["name"], terms)
        except RequestError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(secret)
