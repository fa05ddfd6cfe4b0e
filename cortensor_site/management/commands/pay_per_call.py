"""The `pay_per_call` command: it lets clients pay per call, and collects the till's earnings."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from web3.exceptions import Web3Exception

from chain.deployed.contracts import connect, deployment
from chain.deployed.keys import load
from chain.errors import ChainError
from cortensor_site.pay_per_call import SessionTerms, collect, open_pay_per_call
from sessions.errors import cor
from sessions.models import WEI_PER_COR, Payment


class Command(BaseCommand):
    help = (
        "Create the till's key and a session that the till owns, move the till's earnings to the "
        "operator, and fill up the session's balance. Payments of calls go to the till "
        "(docs/x402.md). Safe to run again; run it now and then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cor", default="5", help="the session's balance (default: 5)")
        parser.add_argument("--model", type=int, default=1, metavar="ID", help="default: 1")
        parser.add_argument("--redundancy", type=int, default=1, help="miners a task (default: 1)")
        parser.add_argument(
            "--operator",
            default="deployer",
            metavar="NAME",
            help="the keystore of the account that pays (default: deployer)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            balance_wei = int(Decimal(options["cor"]) * WEI_PER_COR)
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise CommandError(f"--cor: {options['cor']!r} is not an amount of COR") from error
        if balance_wei <= 0:
            raise CommandError(f"--cor: {options['cor']} is too little; give more than 0")
        try:
            password = settings.KEYSTORE_PASSWORD_FILE.read_text().strip()
            operator = load(settings.KEYSTORE_DIR / f"{options['operator']}.json", password)
            w3, network = connect(settings.RPC_URL), deployment()
            keys = (settings.KEYSTORE_DIR, password)
            earned_wei = collect(w3, network, operator, *keys, keep_wei=_may_be_paid_back_wei())
            terms = SessionTerms(balance_wei, options["model"], options["redundancy"])
            opened = open_pay_per_call(w3, network, operator, *keys, terms)
        except (ChainError, Web3Exception, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{cor(earned_wei)} COR collected; session {opened.session_id} holds"
            f" {cor(opened.balance_wei)} COR; payments go to {opened.till}"
        )


def _may_be_paid_back_wei() -> int:
    return int(Payment.objects.open().aggregate(wei=Sum("amount_wei"))["wei"] or 0)
