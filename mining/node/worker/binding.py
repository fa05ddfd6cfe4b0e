"""Builds the content that a miner commits to: its answer, with a salt."""

import secrets

from chain.protocol.digests import MAX_DATA_BYTES, canonical_json, raw_address
from mining.node.disk.stash import Result
from mining.node.engine.generation import GenerationResult
from mining.node.protocol.job import Job
from mining.node.worker.sealing import seal_result


def bind(job: Job, result: GenerationResult, miner: str) -> Result:
    """Return the result that a miner precommits and later reveals.

    Its content names the task and the miner, so that no other miner can copy the hash. It holds a
    random salt, so that the answer cannot be guessed from the hash. The content is sealed if the
    job asks for it.
    """
    logprobs = {"logprobs": [each.to_json()[1:] for each in result.logprobs]}
    content = canonical_json(
        {
            "result": result.text,
            "salt": "0x" + secrets.token_bytes(32).hex(),
            "session_id": job.session_id,
            "task_id": job.task_id,
            "task_digest": "0x" + job.task_digest.hex(),
            "miner": miner,
            "model": job.model_identifier,
            "finish_reason": result.finish_reason.value,
            "usage": {
                "prompt_tokens": result.prompt_tokens,
                "completion_tokens": result.completion_tokens,
            },
            "token_ids": list(result.token_ids),
            **(logprobs if job.logprobs else {}),
        }
    )
    content = seal_result(job, content)
    # The contract refuses a longer text, so a long result is committed by its content address.
    inline = job.inline and len(content) <= MAX_DATA_BYTES
    return Result(
        assignment_id=job.assignment_id,
        session_id=job.session_id,
        task_id=job.task_id,
        task_digest=job.task_digest.hex(),
        chain_id=job.chain_id,
        queue_address=job.queue_address,
        content=content.decode(),
        data=content.decode() if inline else raw_address(content),
    )
