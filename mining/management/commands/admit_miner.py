"""Admit a registered miner to users' tasks, or dismiss it."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from chain import operations
from chain.sending import outbox
from mining.models import Node, NodeState


class Command(BaseCommand):
    help = (
        "Admit a miner that is registered with NodePool to users' tasks. The oracle's account sends"
        " the change, so the sender has to run. This does not create a mailbox: the miner requests"
        " one itself, or use enrol_miner."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", required=True, help="the miner's account, 0x…")
        parser.add_argument(
            "--dismiss", action="store_true", help="stop its tasks; the miner stays registered"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        address = str(options["address"])
        wanted = NodeState.REGISTERED if options["dismiss"] else NodeState.EPHEMERAL
        node = Node.objects.filter(pk=address.lower()).first()
        if node is None or node.state == NodeState.UNKNOWN:
            raise CommandError(
                f"--address: NodePool does not know {address}; its owner has to register it first"
                " with `python -m mining.node register`"
            )
        if node.state == wanted:
            self.stdout.write(f"{address} is {wanted.label.lower()} already")
            return
        with transaction.atomic():
            outbox.enqueue(operations.set_node_state(address, wanted, f"admit {uuid.uuid4().hex}"))
        self.stdout.write(f"{address} will be {wanted.label.lower()} with the next block")
