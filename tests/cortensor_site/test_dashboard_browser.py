"""The dashboard in a real browser, with a running router and prepared rows."""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from cortensor_site.asgi import application
from sessions.models import ApiKey, TaskStatus
from sessions.streams import feeds, task_stream
from tests.browser import collect_errors, running_browser
from tests.cortensor_site.test_dashboard_snapshot import (
    COR,
    MINERS,
    make_session,
    make_settled_task,
    make_task,
)

pytestmark = pytest.mark.django_db(transaction=True)

# A router whose miner never comes to an end.
ENDLESS_ANSWER = """
const ask = window.fetch;
window.fetch = (url, options) => {
  if (!String(url).includes("/completions")) return ask(url, options);
  const chunk = { session_id: 1, task_id: 1000000, choices: [{ text: "on and " }] };
  const bytes = new TextEncoder().encode(`data: ${JSON.stringify(chunk)}\\n\\n`);
  const body = new ReadableStream({
    start(to) {
      const timer = setInterval(() => to.enqueue(bytes), 20);
      options.signal.addEventListener("abort", () => {
        clearInterval(timer);
        to.error(options.signal.reason);
      });
    },
  });
  return Promise.resolve(new Response(body));
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, running_browser() as started:
        # Playwright keeps an event loop in this thread, in which Django would refuse every query.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield started


@pytest.fixture
def router(redis_url: str) -> Iterator[str]:
    """This router on a free port, and its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def page(browser: Browser, router: str) -> Iterator[Page]:
    context = browser.new_context(base_url=router)
    yield context.new_page()
    context.close()


def notify(task_id: int) -> None:
    event = {"type": "task", "session_id": 1, "task_id": task_id, "status": "assigned"}
    task_stream.write(*feeds.additions(event))


def test_the_page_shows_the_network_without_an_error(page: Page) -> None:
    make_session(deposited_wei=10 * COR, reserved_wei=1, name="<b>bold</b>")
    make_settled_task(1_000_000)
    errors = collect_errors(page)
    page.goto("/")
    expect(page.locator("#tasks summary")).to_contain_text("Task 1,000,000")
    expect(page.locator("#tasks .settlement")).to_contain_text("1.000000000000000001 COR paid")
    expect(page.locator("#tasks .part")).to_have_count(len(MINERS))
    expect(page.locator("#sessions")).to_contain_text("<b>bold</b>")
    expect(page.locator("#sessions")).to_contain_text("9.999999999999999999")
    expect(page.locator("#badge")).to_have_text("Live")
    assert errors == []


def test_an_empty_network_says_what_to_do_next(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_text("No task yet. Ask something in the playground")).to_be_visible()
    expect(page.get_by_text("No miner has registered yet")).to_be_visible()
    expect(page.get_by_text("No session yet")).to_be_visible()


def test_a_notice_moves_a_task_on_and_nothing_is_asked_for_without_one(page: Page) -> None:
    task = make_task(1_000_000)
    page.clock.install()
    page.goto("/")
    expect(page.locator("#badge")).to_have_text("Live")
    expect(page.locator("#tasks [aria-current=step]")).to_contain_text("queued")
    page.wait_for_timeout(500)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(60_000)
    page.wait_for_timeout(300)
    assert asked == []
    task.status = TaskStatus.ASSIGNED
    task.save()
    notify(task.task_id)
    expect(page.locator("#tasks [aria-current=step]")).to_contain_text("assigned")
    assert len(asked) == 1


def test_without_the_socket_the_page_looks_every_few_seconds_and_says_so(page: Page) -> None:
    page.clock.install()
    page.route_web_socket("**/ws/network", lambda socket: socket.close())
    page.goto("/")
    expect(page.locator("#badge")).to_contain_text("Reconnecting")
    expect(page.get_by_text("No task yet")).to_be_visible()
    make_task(1_000_000)
    page.clock.fast_forward(5_500)
    expect(page.locator("#tasks summary")).to_contain_text("Task 1,000,000")


def test_stop_ends_the_stream_and_keeps_what_was_read(page: Page) -> None:
    page.add_init_script(ENDLESS_ANSWER)
    make_task(1_000_000)
    page.goto("/")
    page.get_by_label("Prompt").fill("Hello")
    page.get_by_label("Session", exact=True).fill("1")
    page.get_by_label("API key").fill("cor_any")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("on and on and on")
    expect(page.get_by_role("heading", name="Task 1,000,000 of session 1")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-value=state]")).to_have_text("stopped")
    expect(page.get_by_role("region", name="Answer")).to_contain_text("on and on and on")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_a_wrong_key_is_told_in_words(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Prompt").fill("Hello")
    page.get_by_label("Session", exact=True).fill("1")
    page.get_by_label("API key").fill("cor_wrong")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The API key is missing or wrong")
    expect(page.locator("[data-value=state]")).to_have_text("failed")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


def test_a_session_that_does_not_exist_is_told_at_its_field(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Prompt").fill("Hello")
    page.get_by_label("Session", exact=True).fill("77")
    page.get_by_label("API key").fill(ApiKey.issue("test", MINERS[0])[1])
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("77")


def test_a_typed_key_lives_as_long_as_the_tab(page: Page, browser: Browser, router: str) -> None:
    page.goto("/")
    page.get_by_label("API key").fill("cor_mine")
    page.get_by_label("API key").blur()
    page.reload()
    expect(page.get_by_label("API key")).to_have_value("cor_mine")
    other = browser.new_page(base_url=router)
    other.goto("/")
    expect(other.get_by_label("API key")).to_have_value("")
    other.close()


def test_an_example_fills_the_prompt(page: Page) -> None:
    page.goto("/")
    example = page.get_by_role("group", name="Examples").get_by_role("button").first
    text = example.inner_text()
    assert text
    example.click()
    expect(page.get_by_label("Prompt")).to_have_value(text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_small_telephone(browser: Browser, router: str, scheme: Any) -> None:
    page = browser.new_page(
        base_url=router, color_scheme=scheme, viewport={"width": 360, "height": 740}
    )
    page.goto("/")
    expect(page.get_by_text("No task yet")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


def test_amounts_are_exact_to_the_wei(page: Page) -> None:
    page.goto("/")
    chance = random.Random(2)
    amounts = [0, 1, -1, COR, COR - 1, 10 * COR, 2**256 - 1]
    amounts += [chance.randrange(10 ** chance.randrange(1, 60)) for _ in range(200)]
    shown = page.evaluate(
        "async (amounts) => {"
        " const { cor } = await import('/static/dashboard/format.js');"
        " return amounts.map((wei) => cor(wei)); }",
        [str(wei) for wei in amounts],
    )
    for wei, text in zip(amounts, shown, strict=True):
        exact = text.replace(",", "").replace("−", "-")
        whole, _, fraction = exact.partition(".")
        assert int(whole + fraction.ljust(18, "0")) == wei


def test_events_are_read_whole_whatever_pieces_they_come_in(page: Page) -> None:
    page.goto("/")
    stream = (
        ': hello\r\ndata: {"a":"é"}\r\n\r\n'
        "event: x\ndata: one\ndata: two\n\ndata:[DONE]\n\ndata: cut"
    )
    expected = ['{"a":"é"}', "one\ntwo", "[DONE]"]
    payload = list(stream.encode())
    chance = random.Random(3)
    for _ in range(30):
        cuts = sorted(chance.sample(range(1, len(payload)), chance.randrange(1, 20)))
        pieces = [
            payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)
        ]
        read = page.evaluate(
            "async (pieces) => {"
            " const { eventData } = await import('/static/dashboard/completion.js');"
            " const body = new ReadableStream({ start(to) {"
            "   for (const piece of pieces) to.enqueue(new Uint8Array(piece)); to.close(); } });"
            " const read = []; for await (const data of eventData(body)) read.push(data);"
            " return read; }",
            pieces,
        )
        assert read == expected, json.dumps(pieces)
