"""`python -m cortensor_site.stack.ask [QUESTION …]`: ask the network that runs on this machine.

Any client of OpenAI's API can do the same (docs/openai.md).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from cortensor_site.stack.ports import Ports
from cortensor_site.stack.servers.embedded import BASE_DIR

QUESTIONS = (
    "What is the capital of Japan?",
    "What is the boiling point of water?",
    "Why do we sleep?",
    "Write a short poem about autumn.",
    "Write a Python function that adds two numbers.",
)
TIMEOUT_S = 150.0


class NotAnswered(Exception):
    """The router refused a question, or an answer ended early. The message gives the reason."""


def main() -> int:
    """Print each question, and stream its answer."""
    parser = argparse.ArgumentParser(prog="python -m cortensor_site.stack.ask", description=__doc__)
    parser.add_argument(
        "questions", nargs="*", default=QUESTIONS, help="the default is five everyday questions"
    )
    parser.add_argument("--model", help="an id from GET /v1/models (default: the first)")
    options = parser.parse_args()
    url = f"http://127.0.0.1:{Ports.from_environment().router}"
    try:
        key = (Path(os.environ.get("VAR_DIR", BASE_DIR / "var")) / "api_key").read_text()
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S) as http:
            model = options.model or _first_model(http)
            for question in options.questions:
                _ask(http, model, question)
    except FileNotFoundError as error:
        print(f"{error.filename} does not exist; `make run` creates it", file=sys.stderr)
        return 1
    except (httpx.HTTPError, NotAnswered) as error:
        print(f"{url}: {error or type(error).__name__}; is `make run` running?", file=sys.stderr)
        return 1
    return 0


def _first_model(http: httpx.Client) -> str:
    answer = http.get("/v1/models")
    answer.raise_for_status()
    return str(answer.json()["data"][0]["id"])


def _ask(http: httpx.Client, model: str, question: str) -> None:
    print(f"> {question}")
    started, pieces = time.monotonic(), 0
    messages = [{"role": "user", "content": question}]
    body = {"model": model, "messages": messages, "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        if not answer.is_success:
            raise NotAnswered(answer.read().decode(errors="replace"))
        for piece in _pieces(answer.iter_lines()):
            pieces += 1
            print(piece, end="", flush=True)
    if not pieces:
        raise NotAnswered("the answer is empty")
    print(f"\n  ({model}, {time.monotonic() - started:.1f} s)\n")


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        data = line.removeprefix("data: ")
        if data == line or data == "[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise NotAnswered(chunk["error"]["message"])
        for choice in chunk["choices"]:
            if text := choice["delta"].get("content"):
                yield text


if __name__ == "__main__":
    sys.exit(main())
