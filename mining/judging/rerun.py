"""Runs a task on the validator's machine, in the same way as an honest miner."""

import logging
import time
from collections.abc import Sequence
from functools import cache

from django.conf import settings

from mining import catalog
from mining.errors import ValidationImpossible
from mining.judging.answers import Answer, up_to
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationError, GenerationRequest, GenerationResult
from mining.node.engine.grammar import GrammarInvalid, require_version
from mining.node.llm.llama import LlamaError
from mining.node.llm.prompts import PromptError
from mining.node.protocol.sampling_params import sampling_of
from sessions.intake.options import BoundGrammar
from sessions.intake.prompts import PromptUnreadable, prompt_of
from sessions.logprobs import read_logprobs
from sessions.models import Task

TIME_S = 45.0
"""The longest run, which must be shorter than the contract's verdict window."""

_REASONS = (
    LookupError,
    LlamaError,
    PromptError,
    GenerationError,
    GrammarInvalid,
    PromptUnreadable,
)

logger = logging.getLogger(__name__)


def rerun(task: Task, draft: Sequence[int] = ()) -> Answer:
    """Generate the task's answer with its model, parameters and seed, up to where it may end.

    Args:
        task: the task.
        draft: a miner's tokens. If they are right, the run is several times as fast. If not, they
            do not change the answer.

    Raises:
        ValidationImpossible: the model is missing here, the task cannot be run, or the run takes
            too long.
    """
    started = time.monotonic()
    try:
        engine = engine_of(int(task.model_identifier))
        prompt = prompt_of(task)
        tokens = engine.prompts.tokenise(prompt.text, task.prompt_type, task.prompt_template)
        request = GenerationRequest(
            prompt_tokens=tokens,
            max_tokens=engine.prompts.answer_tokens(len(tokens), task.max_tokens),
            sampling=sampling_of(
                task, min_p=prompt.options.min_p, logit_bias=prompt.options.logit_bias
            ),
            seed=prompt.options.seed_bytes or bytes.fromhex(task.task_digest.removeprefix("0x")),
            stop=list(prompt.stop),
            grammar=_lark(prompt.options.grammar),
            logprobs=prompt.options.logprobs,
            deadline_at=time.time() + TIME_S,
            draft=draft,
        )
        generation = engine.submit(request)
        if task.enough_characters is not None:
            generation.shorten(task.enough_characters)
        answer = _answer(generation.result(TIME_S + 5))
        if task.enough_characters is not None:
            vocabulary = catalog.vocabulary(int(task.model_identifier))
            answer = up_to(answer, task.enough_characters, prompt.stop, vocabulary)
    except _REASONS as error:
        raise ValidationImpossible(f"{task}: the validator cannot run it: {error}") from error
    logger.info("%s: run again in %.1f s", task, time.monotonic() - started)
    return answer


def _lark(grammar: BoundGrammar | None) -> str:
    """Return a grammar's text, or "" for none.

    Raises:
        GrammarInvalid: this machine does not have the library and version that the task names.
    """
    if grammar is None:
        return ""
    require_version(grammar.library, grammar.version)
    return grammar.lark


def _answer(result: GenerationResult) -> Answer:
    told = read_logprobs([each.to_json() for each in result.logprobs])
    return Answer(result.text, result.finish_reason.value, result.token_ids, told)


def preload() -> None:
    """Load all models of the settings. Raises LookupError, LlamaError."""
    for model_identifier in settings.MODELS:
        engine_of(model_identifier)


def first_model() -> int:
    """Return the model that is used if a request names none."""
    return min(settings.MODELS)


@cache
def engine_of(model_identifier: int) -> Engine:
    """Return the validator's engine of a model. Raises LookupError, LlamaError."""
    return Engine(catalog.model_path(model_identifier), slots=1)
