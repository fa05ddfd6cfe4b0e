"""Judges the answers of a network task at the validator, by their agreement, as for users' tasks.

If too few answers agree, or there is only one, the validator's own answer decides.
"""

import logging
import time

from django.db import transaction
from django.utils import timezone

from chain import network_operations as operations
from chain import storage
from chain.deployed.contracts import deployment
from chain.protocol.digests import ADDRESS_SCHEME
from chain.protocol.messages import SigningDomain, sign
from chain.protocol.network_messages import NetworkVerdict
from chain.rpc.endpoints import endpoints
from chain.sending import outbox
from mining import keys
from mining.errors import ValidationImpossible
from mining.judging.embeddings import embed
from mining.judging.judgement import Judgement, judge, judge_by_reference
from mining.judging.rerun import TIME_S, engine_of, first_model
from mining.models import NetworkJudgement, ValidationMethod
from mining.network.chain_state import read_session
from mining.network.decisions import Session, State
from mining.node.engine.generation import GenerationError
from mining.node.llm.llama import LlamaError
from mining.node.llm.prompts import PromptError
from mining.node.network.answering import answer_request, completion_of
from mining.node.network.job import MAX_COMPLETION_BYTES

logger = logging.getLogger(__name__)


def judge_session(number: int) -> None:
    """Judge a session whose answers are revealed. Do nothing if it is judged or has ended.

    Raises:
        ValidationImpossible: the validator cannot run the model now. The leader asks again until
            the deadline.
        RpcError: the chain does not answer.
    """
    network = deployment()
    session, revealed = read_session(endpoints(), network, number)
    if session.state != State.COMMIT:
        return
    texts = {
        node: text
        for node, completion in zip(revealed.nodes, revealed.completions, strict=True)
        if completion is not None and (text := _text_of(completion)) is not None
    }
    judgement, method, reference = _measure(session, list(texts.values()))
    accuracy_of = dict(zip(texts, judgement.accuracies_bps if judgement else [], strict=True))
    accuracies = [accuracy_of.get(node, 0) for node in revealed.nodes]
    verdict = NetworkVerdict(number, session.seed, tuple(accuracies))
    domain = SigningDomain(network.chain_id, network.addresses["Cognitive"])
    with transaction.atomic():
        outbox.enqueue(
            operations.judge_network_task(verdict, sign(verdict, domain, keys.validator().key))
        )
        NetworkJudgement.objects.update_or_create(
            number=number,
            seed=session.seed,
            defaults={
                "domain": _storable(session.domain),
                "subdomain": _storable(session.subdomain),
                "prompt": _storable(session.prompt),
                "completions": {node: _storable(text) for node, text in texts.items()},
                "accuracies_bps": dict(zip(revealed.nodes, accuracies, strict=True)),
                "method": method,
                "reference": reference,
                "judged_at": timezone.now(),
            },
        )
    logger.info("network task %d: judged by %s: %s", number, method.value, accuracies)


def _text_of(completion: str) -> str | None:
    """Return the text of an answer, or None if it is a content address that cannot be read."""
    if not completion.startswith(ADDRESS_SCHEME):
        return completion
    try:
        return storage.get(completion.removeprefix(ADDRESS_SCHEME), MAX_COMPLETION_BYTES).decode()
    except (storage.StorageError, OSError, UnicodeDecodeError):
        logger.warning("%s cannot be read", completion[:100])
        return None


def _measure(session: Session, texts: list[str]) -> tuple[Judgement | None, ValidationMethod, str]:
    if not texts:
        return None, ValidationMethod.NONE, ""
    judgement = judge(texts, embed) if len(texts) > 1 else None
    if judgement is not None:
        return judgement, ValidationMethod.MAJORITY, ""
    reference = _own_answer(session)
    return judge_by_reference(texts, reference, embed), ValidationMethod.RERUN, reference


def _own_answer(session: Session) -> str:
    try:
        engine = engine_of(first_model())
        request = answer_request(engine.prompts, session.prompt, session.seed, time.time() + TIME_S)
        return completion_of(engine.submit(request).result(TIME_S + 5).text)
    except (LookupError, LlamaError, PromptError, GenerationError) as error:
        raise ValidationImpossible(
            f"network task {session.number}: the validator cannot run it: {error}"
        ) from error


def _storable(text: str) -> str:
    return text.replace("\x00", "")
