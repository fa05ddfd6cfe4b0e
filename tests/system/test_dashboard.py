"""The dashboard of a running network, while a visitor asks a question."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser import collect_errors, running_browser

PROMPT = "What is Cortensor?"
ANSWER_TIMEOUT_MS = 60_000
SETTLEMENT_TIMEOUT_MS = 180_000


def test_a_visitor_asks_and_watches_the_task_settle(network: Any) -> None:
    with running_browser() as browser:
        page = browser.new_page()
        errors = collect_errors(page)
        page.goto(network.router_url)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(page.locator("#miners tr .presence.online").first).to_be_visible()
        page.get_by_label("Session", exact=True).fill(str(network.demo_session_id))
        page.get_by_label("API key").fill(network.demo_api_key)

        page.get_by_label("Prompt").fill(PROMPT)
        page.get_by_role("button", name="Ask", exact=True).click()

        playground = page.locator("#playground")
        expect(page.locator("[data-part=answer]")).to_have_text(
            re.compile(r"\S"), timeout=ANSWER_TIMEOUT_MS
        )
        expect(page.locator("[data-value=state]")).to_have_text(
            "finished", timeout=ANSWER_TIMEOUT_MS
        )
        expect(page.locator("[data-value=speed]")).to_have_text(re.compile(r"\d+\.\d tok/s"))
        ended = playground.locator(".track .stage", has_text="ended")
        expect(ended).to_have_attribute("data-state", "done", timeout=SETTLEMENT_TIMEOUT_MS)
        expect(playground.locator(".settlement")).to_contain_text("COR paid")
        newest = page.locator("#tasks > li").first
        expect(newest.locator("summary")).to_contain_text("ended")
        expect(page.locator("[data-verdict]")).to_have_text("adds up")
        assert errors == []
