"""Opens the envelope of an encrypted job's prompt, and seals its result."""

import json
from collections.abc import Sequence

from chain.protocol.envelopes import Context, EnvelopeError, Role, read_public_key, seal, unseal
from mining.node.protocol.job import Job


class SealedPromptUnreadable(Exception):
    """The envelope cannot be opened, or holds no prompt. The text reveals nothing of its content.

    `code` goes into reports.
    """

    code = "sealed_prompt_unreadable"


def open_prompt(job: Job, private_key: bytes) -> tuple[str, Sequence[str]]:
    """Return the prompt and the stop strings of a job, decrypted if they are sealed.

    Raises:
        SealedPromptUnreadable: the envelope cannot be opened, or holds no prompt.
    """
    if not job.sealed_prompt:
        return job.prompt, job.stop
    try:
        content = json.loads(
            unseal(job.sealed_prompt.encode(), _context(job, Role.PROMPT), private_key)
        )
        prompt, stop = content["prompt"], content.get("stop", [])
    except EnvelopeError as error:
        raise SealedPromptUnreadable(f"sealed_prompt: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SealedPromptUnreadable("sealed_prompt: it holds no prompt; send another") from None
    if not isinstance(prompt, str) or not isinstance(stop, list):
        raise SealedPromptUnreadable("sealed_prompt: it holds no prompt; send another")
    if not all(isinstance(text, str) and text for text in stop):
        raise SealedPromptUnreadable("sealed_prompt: its stop strings must be non-empty texts")
    return prompt, stop


def seal_result(job: Job, content: bytes) -> bytes:
    """Return a result as it may leave this machine: in an envelope, if the job asks for one."""
    if not job.seal_for:
        return content
    return seal(content, _context(job, Role.RESULT), [read_public_key(key) for key in job.seal_for])


def _context(job: Job, role: Role) -> Context:
    return Context(job.chain_id, job.session_id, job.task_id, role)
