"""`/healthz` and `/readyz`, for supervisors and load balancers. They contain no secrets."""

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from cortensor_site.web import health
from sessions import ports
from sessions.intake.availability import broken_rule
from sessions.streams.reader import is_stopping


async def healthz(request: HttpRequest) -> JsonResponse:
    """Report that this process answers. Does not check any other part."""
    return _answer("ok", {"process": True})


async def readyz(request: HttpRequest) -> JsonResponse:
    """Report whether this process accepts tasks.

    The status is `ok`, `degraded` (it accepts tasks, but a part is away) or `unavailable` (it
    refuses tasks).
    """
    away = await sync_to_async(health.read_away)()
    checks = {"serving": not is_stopping(), "database": await sync_to_async(_database_answers)()}
    checks["miners"] = checks["database"] and await sync_to_async(_has_miners)()
    is_able = all(checks.values()) and broken_rule(away) is None
    checks |= health.components(away)
    if not is_able:
        return _answer("unavailable", checks)
    return _answer("ok" if all(checks.values()) else "degraded", checks)


def _answer(status: str, checks: dict[str, bool]) -> JsonResponse:
    response = JsonResponse(
        {"status": status, "checks": checks}, status=503 if status == "unavailable" else 200
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
        _give_back_connection()


def _has_miners() -> bool:
    try:
        return ports.miners_online() > 0
    except DatabaseError:
        return False
    finally:
        _give_back_connection()


def _give_back_connection() -> None:
    if not connection.in_atomic_block:
        connection.close()
