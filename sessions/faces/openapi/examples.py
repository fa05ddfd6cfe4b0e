"""An example of every answer."""

from typing import Any

from chain.version import VERSION

MINER_ADDRESS = "0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
ROUTER_ADDRESS = "0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
OWNER = "0xc3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"
AT = "2026-11-24T12:00:00Z"

DEFAULTS = {
    "max_tokens": 256,
    "temperature": 0.3,
    "top_p": 0.9,
    "top_k": 40,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.3,
}
ABOUT = {"name": "Cortensor router", "version": VERSION, "api": ["v1"]}
INFO = {
    "name": "Cortensor router",
    "version": VERSION,
    "address": ROUTER_ADDRESS,
    "miners_online": 3,
    "models": [
        {
            "model_identifier": 1,
            "context_length": 4096,
            "defaults": DEFAULTS,
            "input_price_wei": "1000000000000",
            "output_price_wei": "2000000000000",
        }
    ],
}
STATUS = {"status": "degraded", "components": {"router": True, "dispatch": True, "sync": False}}
PING = {"status": "ok", "time": AT}
MINER = {
    "address": MINER_ADDRESS,
    "state": "ephemeral",
    "reputation": 5,
    "online": True,
    "slots": 4,
    "in_flight": 1,
    "tokens_per_s": 20.5,
    "models": ["cortensor-mini"],
    "software": f"cortensor-node/{VERSION}",
    "last_seen_at": AT,
    "active": True,
}
MINERS = {
    "miners": [MINER],
    "nodes": [MINER],
    "stats": {"total": 1, "active": 1, "slots": 4, "in_flight": 1},
    "count": 1,
}
SESSION: dict[str, Any] = {
    "id": 1,
    "session_id": 1,
    "sid": "0x" + "5d" * 32,
    "owner": OWNER,
    "name": "example",
    "metadata": "",
    "state": 0,
    "active": True,
    "mode": 0,
    "redundancy": 3,
    "min_num_of_nodes": 1,
    "max_num_of_nodes": 5,
    "num_of_validator_nodes": 1,
    "sla": "0",
    "model_identifier": 1,
    "reserve_period": 0,
    "max_task_execution_count": 1000000,
    "routers": [{"address": ROUTER_ADDRESS, "index": 0, "metadata": ""}],
    "created_at": AT,
    "updated_at": AT,
    "balance_wei": "9999463000000000000",
    "deposited_wei": "10000000000000000000",
    "withdrawn_wei": "0",
    "reserved_wei": "0",
    "paid_wei": "537000000000000",
}
TASK: dict[str, Any] = {
    "session_id": 1,
    "task_id": 1000000,
    "task_digest": "0x" + "d1" * 32,
    "status": "ended",
    "outcome": {"code": "settled", "message": ""},
    "stages": [{"status": "queued", "at": AT}, {"status": "ended", "at": AT}],
    "origin": "rest",
    "client_reference": "order-7",
    "prompt_cid": "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    "prompt_type": 0,
    "prompt_template": "",
    "max_tokens": 128,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "stop": [],
    "timeout": 60,
    "max_input_tokens": 12,
    "redundancy": 3,
    "model_identifier": 1,
    "reserve_wei": "804000000000000",
    "created_at": AT,
    "finished_at": AT,
    "request_id": "7c1e0f",
}
_PUBLISHED = {"id": 1000000, "status": 5, "status_name": "ended", "ended": True}
PUBLISHED_TASK = TASK | _PUBLISHED
TASK_WITH_MINERS = TASK | {
    "assigned_miners": [MINER_ADDRESS],
    "results": {"miners": [MINER_ADDRESS], "data": ["12 + 7 = 19"]},
    "on_chain": None,
    "miners": [
        {
            "address": MINER_ADDRESS,
            "status": "committed",
            "text": "12 + 7 = 19",
            "ack": True,
            "acked_at": AT,
            "precommit_at": AT,
            "commit_at": AT,
            "inference_sec": 0.4,
            "words": 5,
            "tokens": 8,
            "data_hash": "0x" + "da" * 32,
            "calculated_hash": "0x" + "da" * 32,
            "hash_verified": True,
            "finish_reason": "stop",
            "input_tokens": 12,
            "accuracy_bps": 10000,
            "paid_wei": "179000000000000",
            "precommit_tx": "0x" + "01" * 32,
            "commit_tx": "0x" + "02" * 32,
            "failure": None,
        }
    ],
    "distances": [],
}
PUBLISHED_TASK_WITH_MINERS = TASK_WITH_MINERS | _PUBLISHED
PROBLEM = {
    "type": "urn:cortensor:problem:insufficient_balance",
    "title": "The session's balance is too low",
    "status": 402,
    "detail": "the task can cost up to 0.000804 COR, and session 1 has 0 COR free",
    "errors": [],
    "remedy": "deposit with SessionPayment.depositToSession(sessionId, amount)",
}
COMPLETION_REQUEST = {
    "session_id": 1,
    "prompt": "What is 12 + 7?",
    "max_tokens": 32,
    "stream": False,
    "client_reference": "order-7",
}
COMPLETION: dict[str, Any] = {
    "id": "cmpl-1-1000000",
    "object": "text_completion",
    "created": 1795521600,
    "model": "1",
    "session_id": 1,
    "task_id": 1000000,
    "choices": [
        {
            "index": 0,
            "text": "12 + 7 = 19",
            "finish_reason": "stop",
            "logprobs": None,
            "address": MINER_ADDRESS,
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20},
}
EVENTS = (
    'id: 11-8f0d2a3c\ndata: {"id": "cmpl-1-1000000", "object": "text_completion", "created":'
    ' 1795521600, "model": "1", "session_id": 1, "task_id": 1000000, "choices": [{"index": 0,'
    ' "text": "12 + 7 = 19", "finish_reason": null, "logprobs": null}]}\n\ndata: [DONE]\n\n'
)
CANCELLATION = {"session_id": 1, "task_id": 1000000, "cancelled": True}
VALIDATION_REQUEST = {"session_id": 1, "task_id": 1000000, "answer": "12 + 7 = 19"}
VALIDATION = {
    "session_id": 1,
    "task_id": 1000000,
    "valid": True,
    "accuracy_bps": 10000,
    "distance": 0.0,
    "references": [{"address": MINER_ADDRESS, "accuracy_bps": 10000, "distance": 0.0}],
}
SERVED_MODEL = {
    "id": "cortensor-mini",
    "object": "model",
    "created": 0,
    "owned_by": "cortensor",
    "model_identifier": 1,
    "context_length": 4096,
    "defaults": DEFAULTS,
    "input_price_wei": "1000000000000",
    "output_price_wei": "2000000000000",
}
CHAT_REQUEST = {
    "model": "cortensor-mini",
    "messages": [{"role": "user", "content": "What is 12 + 7?"}],
    "max_completion_tokens": 32,
}
TEXT_REQUEST = {"model": "cortensor-mini", "prompt": "Name the", "max_tokens": 8}
_PAID = {"session_id": 1, "task_ids": [1000000]}
_ENDED = {"logprobs": None, "finish_reason": "stop", "address": MINER_ADDRESS}
CHAT_COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1-1000000",
    "object": "chat.completion",
    "created": 1795521600,
    "model": "cortensor-mini",
    **_PAID,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "12 + 7 = 19", "refusal": None},
            **_ENDED,
        }
    ],
    "usage": COMPLETION["usage"],
}
TEXT_COMPLETION: dict[str, Any] = CHAT_COMPLETION | {
    "id": "cmpl-1-1000000",
    "object": "text_completion",
    "choices": [{"index": 0, "text": " months of the year.", **_ENDED}],
}
CHAT_EVENTS = (
    'data: {"id": "chatcmpl-1-1000000", "object": "chat.completion.chunk", "created": 1795521600,'
    ' "model": "cortensor-mini", "session_id": 1, "task_ids": [1000000], "choices": [{"index": 0,'
    ' "delta": {"content": "12 + 7 = 19"}, "logprobs": null, "finish_reason": null}]}\n\n'
    "data: [DONE]\n\n"
)
TEXT_EVENTS = (
    'data: {"id": "cmpl-1-1000000", "object": "text_completion", "created": 1795521600,'
    ' "model": "cortensor-mini", "session_id": 1, "task_ids": [1000000], "choices": [{"index": 0,'
    ' "text": " months", "logprobs": null, "finish_reason": null}]}\n\ndata: [DONE]\n\n'
)
EMBEDDINGS_REQUEST = {"model": "all-MiniLM-L6-v2", "input": "A cat sits on the mat."}
EMBEDDINGS: dict[str, Any] = {
    "object": "list",
    "model": "all-MiniLM-L6-v2",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.036, -0.024, 0.081]}],
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}
OPENAI_ERROR = {
    "error": {
        "message": "Invalid 'temperature': it may be 0 to 2.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "invalid_value",
    }
}
