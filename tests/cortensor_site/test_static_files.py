"""Static files are served, and do not occupy threads that other requests need."""

import asyncio
import threading

from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.utils.module_loading import import_string

from cortensor_site.web.static_files import StaticFilesMiddleware

ICON = "/static/dashboard/icon.svg"


def test_a_file_is_served():
    content = b"".join(Client().get(ICON).streaming_content)
    assert content.startswith(b"<")


async def test_a_file_is_served_behind_asgi_and_what_is_none_is_not_found():
    client = AsyncClient()
    assert (await client.get(ICON)).status_code == 200
    assert (await client.get("/static/dashboard/nothing.svg")).status_code == 404


async def test_a_request_that_waits_takes_no_thread():
    arrived, leave = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        arrived.release()
        await leave.wait()
        return HttpResponse("late")

    middleware = StaticFilesMiddleware(wait)
    before = threading.active_count()
    waiting = [
        asyncio.ensure_future(middleware(RequestFactory().get("/v1/models"))) for _ in range(50)
    ]
    for _ in waiting:
        await arrived.acquire()
    assert threading.active_count() == before
    leave.set()
    assert {response.status_code for response in await asyncio.gather(*waiting)} == {200}


def test_the_whole_chain_is_asynchronous(settings):
    """One synchronous middleware would cost every request a thread."""
    assert all(getattr(import_string(name), "async_capable", False) for name in settings.MIDDLEWARE)
