"""Runs network tasks one after another: the `network_tasks` process.

One process leads, by an advisory lock, and others wait to take over. The leader keeps no state that
must survive: after a crash the chain tells how far a task is, and repeated requests and operations
are recognised. It sleeps until the chain has news or the stage's deadline passes.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable

from chain import network_operations as operations
from chain.deployed.contracts import Deployment, deployment
from chain.isolation import Isolation
from chain.postgres.leadership import Leadership
from chain.postgres.wakeup import Listener
from chain.rpc.client import Node, RpcError
from chain.rpc.endpoints import endpoints
from chain.sending import outbox
from mining import judging_queue
from mining.loop import keep_doing
from mining.network.asking import ask, ask_for_pings, forget_old
from mining.network.chain_state import read_epoch_seconds, read_situation
from mining.network.decisions import Action, Session, Situation, Step, is_open, plan
from mining.network.idleness import is_idle, last_begun
from mining.network.payouts import pay_out
from mining.network.pruning import prune_gone
from mining.node.network.job import NetworkJob, Stage

LOCK = "network_tasks"
LOOK_EVERY_S = 5.0
"""The longest pause, since a wake-up may be lost and nodes may have to be asked again."""
READ_EVERY_S = 0.5
"""The shortest time between two reads of the chain."""
PINGS_EVERY_S = 10.0
PAYOUTS_EVERY_S = 15.0
PRUNING_EVERY_S = 60.0
JUDGE_AGAIN_S = 20.0

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Run network tasks until `stop` is set. If NETWORK_TASK_EVERY_S is 0, run none.

    Args:
        stop: ends the loop.
        beat: called regularly, to show that the process is alive.
    """
    if not settings.NETWORK_TASK_EVERY_S:
        logger.info("NETWORK_TASK_EVERY_S is 0: there are no network tasks")
        while not stop.wait(LOOK_EVERY_S):
            beat()
        return
    leadership = Leadership(LOCK)
    conductor = Conductor(endpoints(), deployment(), settings.NETWORK_TASK_EVERY_S)
    try:
        with Listener(["chain_events"]) as listener:

            def step() -> None:
                if not leadership.held():
                    stop.wait(LOOK_EVERY_S)
                    return
                try:
                    pause_s = conductor.step()
                except RpcError as error:
                    logger.warning("%s; looking again in %.0f s", error, LOOK_EVERY_S)
                    stop.wait(LOOK_EVERY_S)
                    return
                stop.wait(READ_EVERY_S)
                listener.wait(pause_s - READ_EVERY_S)

            keep_doing(step, stop, beat)
    finally:
        leadership.release()


class Conductor:
    """Reads the state of the network task from the chain, and does or requests the next steps.

    Args:
        rpc: the chain.
        deployment: the deployed contracts.
        every_s: the least seconds between the requests of two network tasks.
    """

    def __init__(self, rpc: Node, deployment: Deployment, every_s: float) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._every_s = every_s
        self._contract = deployment.addresses["Cognitive"]
        self._epoch_seconds: int | None = None
        self._pings_at = self._payouts_at = self._pruning_at = self._read_at = 0.0
        self._isolation = Isolation("network_tasks")
        self._judged_at: dict[tuple[int, int], float] = {}

    def step(self) -> float:
        """Do all that can be done now. Return how many seconds to wait. Raises RpcError."""
        self._try("pings", self._ask_for_pings)
        wait_s = self._read_at - time.monotonic()
        if wait_s > 0:
            return wait_s
        self._rpc.require_chain(self._deployment.chain_id)
        situation = read_situation(self._rpc, self._deployment)
        now = max(situation.time, int(time.time()))
        self._try("payouts", partial(self._pay_out, now))
        is_due = not is_open(situation) and self._is_due()
        if not is_open(situation):
            self._try("pruning", self._prune)
        if not is_open(situation) and not is_due:
            # The news that come now concern users' tasks, so the chain need not be read for each.
            self._read_at = time.monotonic() + LOOK_EVERY_S
        planned = plan(situation, now, is_idle=is_due)
        for action in planned.actions:
            name = f"{action.step.value} {action.node}".strip()
            self._try(name, partial(self._do, action, situation))
        if planned.look_at is None:
            return LOOK_EVERY_S
        return min(max(planned.look_at - now, READ_EVERY_S), LOOK_EVERY_S)

    def _try(self, name: str, work: Callable[[], object]) -> None:
        """Do one kind of work, so that its failure does not stop the others. Raises RpcError."""

        def attempt() -> None:
            try:
                work()
            except RpcError as error:
                rpc_errors.append(error)

        rpc_errors: list[RpcError] = []
        self._isolation.attempt(name, name, attempt)
        if rpc_errors:
            raise rpc_errors[0]

    def _is_due(self) -> bool:
        now, begun = timezone.now(), last_begun()
        if begun is not None and now - begun < timedelta(seconds=self._every_s):
            return False
        return is_idle(now)

    def _ask_for_pings(self) -> None:
        if time.monotonic() >= self._pings_at:
            self._pings_at = time.monotonic() + PINGS_EVERY_S
            ask_for_pings(self._deployment.chain_id, self._contract, timezone.now())

    def _pay_out(self, now: int) -> None:
        if time.monotonic() >= self._payouts_at:
            self._payouts_at = time.monotonic() + PAYOUTS_EVERY_S
            if self._epoch_seconds is None:
                self._epoch_seconds = read_epoch_seconds(self._rpc, self._deployment)
            pay_out(now // self._epoch_seconds)
            forget_old(timezone.now())

    def _prune(self) -> None:
        if time.monotonic() >= self._pruning_at:
            self._pruning_at = time.monotonic() + PRUNING_EVERY_S
            prune_gone(timezone.now())

    def _do(self, action: Action, situation: Situation) -> None:
        request, session = situation.request, situation.session
        if action.step == Step.REQUEST:
            number = request.number + 1 if request else 1
            logger.info("network task: request %d, since the nodes are idle", number)
            outbox.enqueue(operations.request_network_task(number))
            return
        assert request is not None
        if action.step == Step.NEXT_CREATOR:
            op = operations.next_network_creator(request.number, request.asked, request.draw_block)
            outbox.enqueue(op)
        elif action.step == Step.ASK_CREATE:
            job = self._job(Stage.CREATE, request.number, request.seed, request.deadline)
            ask(action.node, job, timezone.now())
        else:
            assert session is not None
            self._do_for(action, session)

    def _do_for(self, action: Action, session: Session) -> None:
        match action.step:
            case Step.START:
                outbox.enqueue(operations.start_network_task(session.number, session.seed))
            case Step.FORCE:
                stage = f"{session.state.name.lower()}:{session.turn}"
                logger.info("network task %d: forced past %s", session.number, stage)
                op = operations.force_network_task(session.number, session.seed, stage)
                outbox.enqueue(op)
            case Step.JUDGE:
                self._judge(session)
            case _:
                ask(action.node, self._part(action.step, session), timezone.now())

    def _part(self, step: Step, session: Session) -> NetworkJob:
        stage = _STAGES[step]
        return self._job(
            stage,
            session.number,
            session.seed,
            session.deadline,
            domain=session.domain,
            subdomain=session.subdomain,
            challenges=CHALLENGES,
            prompt=session.prompt if stage == Stage.COMPLETE else "",
        )

    def _job(
        self,
        stage: Stage,
        number: int,
        seed: int,
        deadline: int,
        *,
        domain: str = "",
        subdomain: str = "",
        challenges: int = 1,
        prompt: str = "",
    ) -> NetworkJob:
        return NetworkJob(
            stage=stage,
            chain_id=self._deployment.chain_id,
            contract=self._contract,
            number=number,
            seed=seed,
            deadline_at=float(deadline),
            domain=domain,
            subdomain=subdomain,
            challenges=challenges,
            prompt=prompt,
        )

    def _judge(self, session: Session) -> None:
        """Ask the validator to judge a session. It has the embedding model and the key."""
        key = (session.number, session.seed)
        if time.monotonic() - self._judged_at.get(key, float("-inf")) < JUDGE_AGAIN_S:
            return
        self._judged_at = {key: time.monotonic()}
        try:
            judging_queue.ask_for_network_judgement(session.number)
        except BrokerUnavailable:
            logger.warning("network task %d: the validator was not asked", session.number)


CHALLENGES = 2
"""How many prompts a preparer writes: the contract's thresholdPrepareChallenge."""
_STAGES = {
    Step.ASK_PREPARE: Stage.PREPARE,
    Step.ASK_COMPLETE: Stage.COMPLETE,
    Step.ASK_REVEAL: Stage.REVEAL,
}
