"""`/healthz` and `/readyz`, for whatever starts, stops and chooses router processes. No secrets."""

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from sessions.stream_reader import is_stopping

CHECK_WITHIN_S = 2.0


async def healthz(request: HttpRequest) -> JsonResponse:
    """Whether this process answers at all; asks nobody else."""
    return _answer({"process": True})


async def readyz(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: its servers answer, and it is not about to stop."""
    return _answer(
        {
            "serving": not is_stopping(),
            "database": await sync_to_async(_database_answers)(),
            "redis": await _redis_answers(),
        }
    )


def _answer(checks: dict[str, bool]) -> JsonResponse:
    ok = all(checks.values())
    response = JsonResponse(
        {"status": "ok" if ok else "unavailable", "checks": checks}, status=200 if ok else 503
    )
    response["Cache-Control"] = "no-store"
    return response


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except DatabaseError:
        return False
    finally:
        if not connection.in_atomic_block:
            connection.close()


async def _redis_answers() -> bool:
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        protocol=2,
        socket_timeout=CHECK_WITHIN_S,
        socket_connect_timeout=CHECK_WITHIN_S,
    )
    try:
        return bool(await client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        await client.aclose()
