"""The hand-written description of sign-in, keys and webhooks; see `docs/access.md`."""

from typing import Any

WHO, HOOKS, NODES = "Who may", "Webhooks", "Nodes"
_NONCE = {"nonce": "5f3a9c1e0b7d", "domain": "127.0.0.1:5010", "chain_id": 31337}
_ACCOUNT = {"address": "0x403b586e7e81d490fceecd9c3cd3d48ab504e033", "csrf_token": "…"}
_KEY = {"id": 1, "name": "example", "prefix": "cor_3fQ0aX1b", "scopes": ["read", "submit"]}
_HOOK = {"id": 1, "session_id": 1, "url": "https://client.example/hook", "events": ["task.ended"]}
_DELIVERY = {"id": "0b0c7a52-3a5c-4f0e-9d1b-6f6a3f0f2a11", "event": "task.ended", "status": "sent"}


def _answer(example: Any, status: str = "200") -> dict[str, Any]:
    if example is None:
        return {status: {"description": "done"}}
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {status: {"description": "the answer", "content": content}}


def _operation(
    summary: str, tag: str, example: Any, status: str = "200", body: Any = None, *ids: str
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": summary.lower().replace(" ", "_").replace("'", ""),
        "summary": summary,
        "tags": [tag],
        "responses": _answer(example, status),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
            for name, _, kind in (identity.partition(":") for identity in ids)
        ],
    }
    if body is not None:
        content = {"application/json": {"schema": {"type": "object"}, "example": body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


_KEY_ID, _HOOK_ID = "key_id:integer", "webhook_id:integer"
_SIGN_IN = {"message": "127.0.0.1:5010 wants you to sign in …", "signature": "0x…"}
_NEW_HOOK = {"session_id": 1, "url": "https://client.example/hook", "events": ["task.ended"]}

_CHALLENGE = {
    "challenge": "0x…",
    "expires_in_s": 60,
    "router": "127.0.0.1:5010",
    "chain_id": 31337,
    "node_pool": "0x…",
}
_ENROL = {"address": "0x…", "challenge": "0x…", "signature": "0x…"}
_MAILBOX = {"redis_url": "redis://miner_0x…:…@127.0.0.1:5011/0", "prefix": "miner:0x…:"}

PATHS: dict[str, dict[str, Any]] = {
    "/api/v1/nodes/challenge": {
        "post": _operation("A challenge for a node", NODES, _CHALLENGE, "200", {"address": "0x…"})
    },
    "/api/v1/nodes/enrol": {"post": _operation("A node's mailbox", NODES, _MAILBOX, "200", _ENROL)},
    "/api/v1/auth/nonce": {"get": _operation("A nonce to sign in with", WHO, _NONCE)},
    "/api/v1/auth/sign-in": {
        "post": _operation("Sign in with Ethereum", WHO, _ACCOUNT, "200", _SIGN_IN)
    },
    "/api/v1/auth/session": {"get": _operation("Who has signed in", WHO, _ACCOUNT)},
    "/api/v1/auth/sign-out": {"post": _operation("Sign out", WHO, None, "204")},
    "/ipfs/{cid}": {
        "get": _operation(
            "A revealed result, or a prompt of a session that you see",
            "Contents",
            {"result": "12 + 7 = 19", "salt": "0x5a…", "session_id": 1, "task_id": 1000000},
            "200",
            None,
            "cid:string",
        )
    },
    "/api/v1/keys": {
        "get": _operation("Your API keys", WHO, {"keys": [_KEY]}),
        "post": _operation(
            "A new API key", WHO, _KEY | {"key": "cor_…"}, "201", {"name": "example"}
        ),
    },
    "/api/v1/keys/{key_id}": {
        "get": _operation("One API key", WHO, _KEY, "200", None, _KEY_ID),
        "delete": _operation("Revoke an API key", WHO, None, "204", None, _KEY_ID),
    },
    "/api/v1/webhooks": {
        "get": _operation("Your webhooks", HOOKS, {"webhooks": [_HOOK]}),
        "post": _operation("A new webhook", HOOKS, _HOOK | {"secret": "whsec_…"}, "201", _NEW_HOOK),
    },
    "/api/v1/webhooks/{webhook_id}": {
        "get": _operation("One webhook", HOOKS, _HOOK, "200", None, _HOOK_ID),
        "delete": _operation("Remove a webhook", HOOKS, None, "204", None, _HOOK_ID),
    },
    "/api/v1/webhooks/{webhook_id}/enable": {
        "post": _operation("Enable a webhook again", HOOKS, _HOOK, "200", None, _HOOK_ID)
    },
    "/api/v1/webhooks/{webhook_id}/deliveries": {
        "get": _operation(
            "What was delivered", HOOKS, {"deliveries": [_DELIVERY]}, "200", None, _HOOK_ID
        )
    },
    "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/again": {
        "post": _operation(
            "Deliver again", HOOKS, _DELIVERY, "202", None, _HOOK_ID, "delivery_id:string"
        )
    },
}
