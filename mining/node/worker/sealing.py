"""Encrypted jobs: the prompt out of its envelope, and the result into one."""

import json
from collections.abc import Sequence

from chain.protocol.envelopes import Context, EnvelopeError, Role, read_public_key, seal, unseal
from mining.node.protocol.job import Job


class SealedPromptUnreadable(Exception):
    """The envelope does not open, or holds no prompt. The text says nothing of its content."""

    code = "sealed_prompt_unreadable"


def open_prompt(job: Job, private_key: bytes) -> tuple[str, Sequence[str]]:
    """The prompt of a job and where to stop, in clear. Raises SealedPromptUnreadable."""
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
        raise SealedPromptUnreadable("sealed_prompt: its stops are no texts; send others")
    return prompt, stop


def seal_result(job: Job, content: bytes) -> bytes:
    """A result as it may leave this machine: an envelope if the job asks for one."""
    if not job.seal_for:
        return content
    return seal(content, _context(job, Role.RESULT), [read_public_key(key) for key in job.seal_for])


def _context(job: Job, role: Role) -> Context:
    return Context(job.chain_id, job.session_id, job.task_id, role)
