"""The Celery worker on a miner's mailbox: it delivers jobs to the `Miner`, and decides nothing.

The pool is threads: a loaded model cannot be forked. There is one thread more than slots, so that
a reveal or a cancellation never waits for a generation. A delivery is confirmed when its work is
done. One that is not is delivered again, and recognised.
"""

import fcntl
import gc
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_shutting_down
from redis.exceptions import AuthenticationError

from chain.protocol.messages import SigningDomain
from mining.node.account.enrolment import enrol
from mining.node.account.evm import Rpc
from mining.node.account.wallet import Wallet
from mining.node.config import NodeConfig, mailbox_url, require_private
from mining.node.disk.journal import Journal
from mining.node.disk.stash import Stash
from mining.node.errors import NodeError
from mining.node.network.check import NetworkCheck
from mining.node.network.duties import NetworkDuties
from mining.node.network.stash import CompletionStash
from mining.node.protocol.names import (
    CANCEL,
    CONTROL_QUEUE,
    INFER,
    INFERENCE_QUEUE,
    NETWORK,
    NETWORK_QUEUE,
    REVEAL,
    SHORTEN,
    mailbox_prefix,
)
from mining.node.shelf.serving import Progress, open_shelf
from mining.node.shelf.shelf import Shelf
from mining.node.worker.heart import Heart
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.miner import Miner
from mining.node.worker.task_check import TaskCheck

logger = logging.getLogger(__name__)

_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")
"""They name every message twice, the job's while its client waits; the miner says what came of a
job, and of all else what went wrong."""
VISIBILITY_TIMEOUT_S = 3700
"""Longer than the longest task, so that what still runs is not delivered again."""


class AlreadyRunning(NodeError):
    """Another process works with this key."""


def run(config: NodeConfig, progress: Progress | None = None) -> int:
    """Work until SIGTERM or SIGINT, then finish what runs; return the exit status.

    Args:
        progress: told a step's name and how much of it is done, from 0 to 1.

    Raises:
        AlreadyRunning: another process works in this home.
        WalletError: the key cannot be opened.
        RedisError: the mailbox cannot be opened.
        EnrolmentFailed, MailboxUnfit: the router gives no mailbox, or one that is of no use.
        ModelSourceError, LlamaError: a model cannot be had, or is not the one that was asked for.
        NotEnoughMemory, ModelUnavailable: a model cannot be loaded.
        ChainUnavailable, CallReverted: jobs cannot be checked against the chain.
    """
    with _alone_in(config.home):
        return _run(config, progress or _untold)


def _run(config: NodeConfig, tell: Progress) -> int:
    wallet = Wallet.open(config.home, config.password)
    redis_url = open_mailbox(config, wallet)
    mailbox = Mailbox(redis_url, wallet.address)
    mailbox.require_same_time()
    network = mailbox.network()
    shelf = open_shelf(config, network.models, tell)
    shelf.preload()
    stash = Stash(config.home / "stash")
    stash.forget_old()
    journal = Journal(config.home / "journal")
    miner = Miner(
        shelf=shelf,
        slots=config.slots,
        wallet=wallet,
        mailbox=mailbox,
        stash=stash,
        pool_domain=SigningDomain(network.chain_id, network.node_pool),
        journal=journal,
        check=_task_check(config, wallet.address),
    )
    duties = network_duties(config, shelf, wallet, mailbox, miner, journal)
    gc.freeze()  # what is loaded now stays; looking through all of it stops a stream for 50 ms
    heart = Heart(miner, mailbox, config.home)
    heart.start()
    served = ", ".join(map(str, shelf.identifiers))
    logger.info("miner %s serves model %s", miner.address, served)
    try:
        app = make_app(redis_url, miner, duties)
        miner.report_deaths()
        _take_up(app)
        status = _work(app, config.slots, miner, heart)
        _hand_back(app, miner)
        return status
    finally:
        heart.stop()
        shelf.close()
        miner.close()
        mailbox.close()


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Hold a home for this process: two with one key would work on each other's jobs."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"home: a node runs in {home} already; stop it, or give this one another --home"
            ) from None
        yield


def _untold(_step: str, _share: float) -> None:
    pass


def open_mailbox(config: NodeConfig, wallet: Wallet) -> str:
    """The REDIS_URL that opens this miner's mailbox: the one that is set, or a new one by proof.

    Raises:
        RedisError: the one that is set does not open it, and no router is known to ask.
        EnrolmentFailed, ConfigError: the router gives none, or one in clear text.
    """
    if config.redis_url is not None:
        url = mailbox_url(config.redis_url, config.redis_ca_file)
        try:
            # Celery would try on for ever with a password that no longer opens anything.
            _require_open(url, wallet.address)
            return url
        except AuthenticationError:
            if config.router_url is None:
                raise
            logger.warning("REDIS_URL opens nothing any more; asking the router for a new one")
    assert config.router_url is not None
    url = enrol(config.router_url, wallet)
    require_private(url, allow_plaintext=config.allow_plaintext)
    url = mailbox_url(url, config.redis_ca_file)
    _require_open(url, wallet.address)
    return url


def _require_open(redis_url: str, address: str) -> None:
    with closing(Mailbox(redis_url, address)) as mailbox:
        mailbox.require_open()


def _task_check(config: NodeConfig, address: str) -> TaskCheck | None:
    if config.rpc_url is None or config.queue_address is None:
        logger.warning(
            "without RPC_URL and QUEUE_ADDRESS jobs are believed: neither that a task is real nor"
            " that it is paid is checked"
        )
        return None
    return TaskCheck(Rpc(config.rpc_url), config.queue_address, address, config.terms)


def network_duties(
    config: NodeConfig,
    shelf: Shelf,
    wallet: Wallet,
    mailbox: Mailbox,
    miner: Miner,
    journal: Journal,
) -> NetworkDuties | None:
    """What this node does while it is idle; nothing where it could not check what it signs."""
    if not shelf.canonical:
        logger.info("a model that others cannot check takes no part in network tasks")
        return None
    check = None
    if config.rpc_url is not None:
        if config.cognitive_address is None:
            logger.warning("without COGNITIVE_ADDRESS this node takes no part in network tasks")
            return None
        check = NetworkCheck(Rpc(config.rpc_url), config.cognitive_address, wallet.address)
    stash = CompletionStash(config.home / "network")
    stash.forget_old()
    return NetworkDuties(
        shelf=shelf,
        wallet=wallet,
        mailbox=mailbox,
        stash=stash,
        is_busy=lambda: miner.in_flight > 0,
        is_draining=lambda: miner.draining,
        journal=journal,
        check=check,
    )


def make_app(redis_url: str, miner: Miner, duties: NetworkDuties | None = None) -> Celery:
    """The miner's Celery application, with its tasks."""
    app = Celery("mining.node", broker=redis_url, set_as_current=False)
    app.conf.update(
        broker_transport_options={
            "global_keyprefix": mailbox_prefix(miner.address),
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_acks_late=True,
        task_ignore_result=True,
        result_backend=None,
        task_default_queue=INFERENCE_QUEUE,
        task_create_missing_queues=True,
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )

    @app.task(name=INFER)
    def infer(job: dict[str, Any]) -> None:
        miner.infer(job)

    @app.task(name=REVEAL)
    def reveal(assignment_id: str) -> None:
        miner.reveal(assignment_id)

    @app.task(name=CANCEL)
    def cancel(assignment_id: str) -> None:
        miner.cancel(assignment_id)

    @app.task(name=SHORTEN)
    def shorten(assignment_id: str, characters: int) -> None:
        miner.shorten(assignment_id, characters)

    @app.task(name=NETWORK)
    def network(job: dict[str, Any]) -> None:
        if duties is not None:
            duties.do(job)

    return app


def _take_up(app: Celery) -> None:
    """Have what a crash has left unconfirmed delivered now, and not after VISIBILITY_TIMEOUT_S.

    Nobody else reads this mailbox, so nobody can be at work on it.
    """
    with app.connection_for_read(transport_options={"visibility_timeout": 0}) as connection:
        channel: Any = connection.default_channel
        channel.qos.restore_visible(num=None)


def _work(app: Celery, slots: int, miner: Miner, heart: Heart) -> int:
    if logger.getEffectiveLevel() >= logging.INFO:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
    worker = app.Worker(
        pool="threads",
        concurrency=slots + 1,
        queues=[CONTROL_QUEUE, INFERENCE_QUEUE, NETWORK_QUEUE],
        loglevel=logging.getLogger().getEffectiveLevel(),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )

    def drain(**_: object) -> None:
        miner.drain()
        heart.beat_now()

    worker_shutting_down.connect(drain)
    try:
        worker.start()
    finally:
        worker_shutting_down.disconnect(drain)
    return int(worker.exitcode or 0)


def _hand_back(app: Celery, miner: Miner) -> None:
    """Say of the jobs that wait in the mailbox that this node will not do them."""
    with (
        app.connection_for_read() as connection,
        connection.SimpleQueue(INFERENCE_QUEUE) as waiting,
        suppress(waiting.Empty),
    ):
        while True:
            message = waiting.get_nowait()
            _, named, _ = message.payload
            miner.hand_back(named.get("job"))
            message.ack()
