"""The Celery worker on a miner's mailbox: it delivers jobs to the `Miner`, and decides nothing.

The pool is threads: a loaded model cannot be forked. There is one thread more than slots, so that
a reveal or a cancellation never waits for a generation. A delivery is confirmed when its work is
done. One that is not is delivered again, and recognised.
"""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from celery import Celery
from redis.exceptions import AuthenticationError, RedisError

from mining.node.config import NodeConfig, require_private
from mining.node.engine import Engine
from mining.node.enrolment import enrol
from mining.node.evm import Rpc
from mining.node.generation import GenerationRequest
from mining.node.mailbox import Mailbox
from mining.node.miner import Miner
from mining.node.model_source import locate, require_digest
from mining.node.network.check import NetworkCheck
from mining.node.network.duties import NetworkDuties
from mining.node.network.stash import CompletionStash
from mining.node.stash import Stash
from mining.node.task_check import TaskCheck
from mining.node.wallet import Wallet

logger = logging.getLogger(__name__)

INFERENCE_QUEUE, CONTROL_QUEUE, NETWORK_QUEUE = "inference", "control", "network"
INFER, REVEAL, CANCEL = "mining.node.infer", "mining.node.reveal", "mining.node.cancel"
NETWORK = "mining.node.network"
HEARTBEAT_INTERVAL_S = 2.0
MAILBOX_CLOSED = 3
"""The exit status of a miner whose password opens nothing any more; start it again."""
Progress = Callable[[str, float], None]
VISIBILITY_TIMEOUT_S = 3700
"""Longer than the longest task, so that what still runs is not delivered again."""
_WARM_UP_TOKENS = 16


def run(config: NodeConfig, progress: Progress | None = None) -> int:
    """Work until SIGTERM or SIGINT, then finish what runs; return the exit status.

    Args:
        progress: told a step's name and how much of it is done, from 0 to 1.

    Raises:
        WalletError: the key cannot be opened.
        RedisError: the mailbox cannot be opened.
        EnrolmentFailed: the router gives no mailbox.
        ModelSourceError, LlamaError: the model cannot be had, or is not the one that was asked for.
        ChainUnavailable, CallReverted: jobs cannot be checked against the chain.
    """
    tell: Progress = progress or _untold
    wallet = Wallet.open(config.home, config.password)
    model_path = locate(config.model)
    if config.model_sha256:
        require_digest(model_path, config.model_sha256, partial(tell, "verifying the model"))
    engine = Engine(
        model_path,
        slots=config.slots,
        threads=config.threads,
        context_tokens=config.context_tokens,
        gpu_layers=config.gpu_layers,
        progress=partial(tell, "loading the model"),
    )
    _warm_up(engine)
    check = _task_check(config, wallet.address)
    redis_url = open_mailbox(config, wallet)
    mailbox = Mailbox(redis_url, wallet.address)
    stash = Stash(config.home / "stash")
    stash.forget_old()
    miner = Miner(
        engine=engine,
        wallet=wallet,
        mailbox=mailbox,
        stash=stash,
        model_identifier=config.model_identifier,
        check=check,
    )
    duties = network_duties(config, engine, wallet, mailbox, miner)
    stop = threading.Event()
    heart = threading.Thread(target=_keep_beating, args=(miner, stop), name="heartbeat")
    heart.start()
    logger.info("miner %s serves model %d", miner.address, config.model_identifier)
    try:
        return _work(make_app(redis_url, miner, duties), config.slots)
    finally:
        stop.set()
        heart.join()
        engine.close()
        mailbox.close()


def _untold(_step: str, _share: float) -> None:
    pass


def open_mailbox(config: NodeConfig, wallet: Wallet) -> str:
    """The REDIS_URL that opens this miner's mailbox: the one that is set, or a new one by proof.

    Raises:
        RedisError: the one that is set does not open it, and no router is known to ask.
        EnrolmentFailed, ConfigError: the router gives none, or one in clear text.
    """
    if config.redis_url is not None:
        try:
            # Celery would try on for ever with a password that no longer opens anything.
            with closing(Mailbox(config.redis_url, wallet.address)) as mailbox:
                mailbox.require_open()
            return config.redis_url
        except AuthenticationError:
            if config.router_url is None:
                raise
            logger.warning("REDIS_URL opens nothing any more; asking the router for a new one")
    assert config.router_url is not None
    url = enrol(config.router_url, wallet)
    require_private(url, allow_plaintext=config.allow_plaintext)
    return url


def _task_check(config: NodeConfig, address: str) -> TaskCheck | None:
    if config.rpc_url is None or config.queue_address is None:
        logger.warning(
            "without RPC_URL and QUEUE_ADDRESS jobs are believed: neither that a task is real nor"
            " that it is paid is checked"
        )
        return None
    return TaskCheck(Rpc(config.rpc_url), config.queue_address, address, config.terms)


def network_duties(
    config: NodeConfig, engine: Engine, wallet: Wallet, mailbox: Mailbox, miner: Miner
) -> NetworkDuties | None:
    """What this node does while it is idle; nothing where it could not check what it signs."""
    check = None
    if config.rpc_url is not None:
        if config.cognitive_address is None:
            logger.warning("without COGNITIVE_ADDRESS this node takes no part in network tasks")
            return None
        check = NetworkCheck(Rpc(config.rpc_url), config.cognitive_address, wallet.address)
    stash = CompletionStash(config.home / "network")
    stash.forget_old()
    return NetworkDuties(
        engine=engine,
        wallet=wallet,
        mailbox=mailbox,
        stash=stash,
        is_busy=lambda: miner.in_flight > 0,
        check=check,
    )


def make_app(redis_url: str, miner: Miner, duties: NetworkDuties | None = None) -> Celery:
    """The miner's Celery application, with its tasks."""
    app = Celery("mining.node", broker=redis_url, set_as_current=False)
    app.conf.update(
        broker_transport_options={
            "global_keyprefix": f"miner:{miner.address.lower()}:",
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

    @app.task(name=NETWORK)
    def network(job: dict[str, Any]) -> None:
        if duties is not None:
            duties.do(job)

    return app


def _work(app: Celery, slots: int) -> int:
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
    worker.start()
    return int(worker.exitcode or 0)


def _keep_beating(miner: Miner, stop: threading.Event) -> None:
    while True:
        try:
            miner.beat()
        except AuthenticationError:
            # Redis has forgotten its users, or this one's password was changed. Nothing that runs
            # can be reported any more, and Celery would try on for ever: end, as by a crash, which
            # loses nothing but time. Whoever starts this process again gets it a new mailbox.
            logger.error("heartbeat: the mailbox is closed to this miner; it ends")
            os._exit(MAILBOX_CLOSED)
        except RedisError as error:
            logger.warning("heartbeat: Redis does not answer (%s); trying on", type(error).__name__)
        if stop.wait(HEARTBEAT_INTERVAL_S):
            return


def _warm_up(engine: Engine) -> None:
    """Read the weights in, and have a first figure of the speed to report."""
    tokens = min(_WARM_UP_TOKENS, engine.prompts.context_tokens - 1)
    engine.submit(GenerationRequest([0], tokens)).result()
