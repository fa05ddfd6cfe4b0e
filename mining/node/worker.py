"""The Celery worker on a miner's mailbox: it delivers jobs to the `Miner`, and decides nothing.

The pool is threads: a loaded model cannot be forked. There is one thread more than slots, so that
a reveal or a cancellation never waits for a generation. A delivery is confirmed when its work is
done. One that is not is delivered again, and recognised.
"""

import logging
import threading
from typing import Any

from celery import Celery
from redis.exceptions import RedisError

from mining.node.config import NodeConfig
from mining.node.engine import Engine
from mining.node.generation import GenerationRequest
from mining.node.mailbox import Mailbox
from mining.node.miner import Miner
from mining.node.model_source import locate
from mining.node.stash import Stash
from mining.node.wallet import Wallet

logger = logging.getLogger(__name__)

INFERENCE_QUEUE, CONTROL_QUEUE = "inference", "control"
INFER, REVEAL, CANCEL = "mining.node.infer", "mining.node.reveal", "mining.node.cancel"
HEARTBEAT_INTERVAL_S = 2.0
VISIBILITY_TIMEOUT_S = 3700
"""Longer than the longest task, so that what still runs is not delivered again."""
_WARM_UP_TOKENS = 16


def run(config: NodeConfig) -> int:
    """Work until SIGTERM or SIGINT, then finish what runs; return the exit status.

    Raises:
        WalletError: the key cannot be opened.
        RedisError: the mailbox cannot be opened.
        ModelSourceError, LlamaError: the model cannot be had.
    """
    wallet = Wallet.open(config.home, config.password)
    mailbox = Mailbox(config.redis_url, wallet.address)
    # Celery would try on for ever with a password that no longer opens anything.
    mailbox.require_open()
    engine = Engine(
        locate(config.model),
        slots=config.slots,
        threads=config.threads,
        context_tokens=config.context_tokens,
    )
    _warm_up(engine)
    stash = Stash(config.home / "stash")
    stash.forget_old()
    miner = Miner(
        engine=engine,
        wallet=wallet,
        mailbox=mailbox,
        stash=stash,
        model_identifier=config.model_identifier,
    )
    stop = threading.Event()
    heart = threading.Thread(target=_keep_beating, args=(miner, stop), name="heartbeat")
    heart.start()
    logger.info("miner %s serves model %d", miner.address, config.model_identifier)
    try:
        return _work(make_app(config.redis_url, miner), config.slots)
    finally:
        stop.set()
        heart.join()
        engine.close()
        mailbox.close()


def make_app(redis_url: str, miner: Miner) -> Celery:
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

    return app


def _work(app: Celery, slots: int) -> int:
    worker = app.Worker(
        pool="threads",
        concurrency=slots + 1,
        queues=[CONTROL_QUEUE, INFERENCE_QUEUE],
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
        except RedisError as error:
            logger.warning("heartbeat: Redis does not answer (%s); trying on", type(error).__name__)
        if stop.wait(HEARTBEAT_INTERVAL_S):
            return


def _warm_up(engine: Engine) -> None:
    """Read the weights in, and have a first figure of the speed to report."""
    tokens = min(_WARM_UP_TOKENS, engine.prompts.context_tokens - 1)
    engine.submit(GenerationRequest([0], tokens)).result()
