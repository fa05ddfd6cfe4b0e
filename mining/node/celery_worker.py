"""The Celery worker of a miner's mailbox. It passes jobs to the `Miner` and decides nothing itself.

The worker uses a pool of threads, since a loaded model cannot be forked. It has one thread more
than slots, so that a reveal or a cancellation never waits for a generation. A delivery is
acknowledged when its work is done. Otherwise it is delivered again, and the miner recognises it.
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
"""Loggers that write two lines for every message, while a job's client waits.

The miner itself logs the outcome of each job, and the errors of everything else.
"""
VISIBILITY_TIMEOUT_S = 3700
"""After this time Redis delivers a message again. It is longer than the longest task."""


class AlreadyRunning(NodeError):
    """Another process uses this home, and so the same key."""


def run(config: NodeConfig, progress: Progress | None = None) -> int:
    """Work until SIGTERM or SIGINT, then finish the running jobs and return the exit status.

    Args:
        config: the node's settings.
        progress: called with the name of a step and the share of it that is done, from 0 to 1.

    Raises:
        AlreadyRunning: another process uses this home.
        WalletError: the key cannot be opened.
        RedisError: the mailbox cannot be opened.
        EnrolmentFailed, MailboxUnfit: the router gives no mailbox, or an unusable one.
        ModelSourceError, LlamaError: a model cannot be found, or is not the expected one.
        NotEnoughMemory, ModelUnavailable: a model cannot be loaded.
        ChainUnavailable, CallReverted: jobs cannot be checked against the chain.
    """
    with _alone_in(config.home):
        return _run(config, progress or _no_progress)


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
    # Everything loaded so far stays until the end. A garbage collection that scans it would stop
    # all streams for 50 ms.
    gc.freeze()
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
    """Lock a home for this process. Two processes with one key would take each other's jobs."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"home: a node is running in {home}; stop it, or give this one another --home"
            ) from None
        yield


def _no_progress(_step: str, _share: float) -> None:
    pass


def open_mailbox(config: NodeConfig, wallet: Wallet) -> str:
    """Return the URL of this miner's mailbox.

    This is the URL from the settings. If there is none, or it no longer opens the mailbox, the
    miner proves its key to the router and gets a new one.

    Raises:
        RedisError: the URL from the settings does not open the mailbox, and no router is set.
        EnrolmentFailed: the router gives no mailbox.
        ConfigError: the mailbox would be reached over an unencrypted connection.
    """
    if config.redis_url is not None:
        url = mailbox_url(config.redis_url, config.redis_ca_file)
        try:
            # Check now, since Celery would retry forever with a password that is no longer valid.
            _require_open(url, wallet.address)
            return url
        except AuthenticationError:
            if config.router_url is None:
                raise
            logger.warning("REDIS_URL no longer opens the mailbox; asking the router for a new one")
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
            "RPC_URL or QUEUE_ADDRESS is not set: the node does not check whether a job's task"
            " exists and is paid"
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
    """Return this node's part in network tasks, or None if it takes no part.

    A node takes no part if other nodes cannot check its tokens. A node that checks its jobs against
    the chain takes no part if it cannot check network tasks.
    """
    if not shelf.canonical:
        logger.info("others cannot check this node's model: it takes no part in network tasks")
        return None
    check = None
    if config.rpc_url is not None:
        if config.cognitive_address is None:
            logger.warning("COGNITIVE_ADDRESS is not set: this node takes no part in network tasks")
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
    """Return the miner's Celery application, with its tasks."""
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
    """Deliver the messages again that a crash has left unacknowledged.

    Otherwise this would take VISIBILITY_TIMEOUT_S. It is safe, since no other process reads this
    mailbox.
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
    """Report that the jobs which wait in the mailbox will not be done by this node."""
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
