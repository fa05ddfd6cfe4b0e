"""What a miner binds itself to: an answer as content, with a salt, and where it is revealed."""

import secrets

from chain.protocol.digests import MAX_DATA_BYTES, canonical_json, raw_cid
from mining.node.disk.stash import Result
from mining.node.engine.generation import GenerationResult
from mining.node.protocol.job import Job
from mining.node.worker.sealing import seal_result


def bind(job: Job, result: GenerationResult, miner: str) -> Result:
    """A miner's answer with a salt, so that its hash can be neither guessed nor copied."""
    told = {"logprobs": [each.to_json()[1:] for each in result.logprobs]}
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
            **(told if job.logprobs else {}),
        }
    )
    content = seal_result(job, content)
    # The contract takes no longer text, so that a long result goes by its address.
    inline = job.inline and len(content) <= MAX_DATA_BYTES
    return Result(
        assignment_id=job.assignment_id,
        session_id=job.session_id,
        task_id=job.task_id,
        task_digest=job.task_digest.hex(),
        chain_id=job.chain_id,
        queue_address=job.queue_address,
        content=content.decode(),
        data=content.decode() if inline else "ipfs://" + raw_cid(content),
    )
