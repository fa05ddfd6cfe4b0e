"""Ask the network with OpenAI's own client: one answer at once, and one as it is made.

Run it from the repository while `make run` is up:

    .venv/bin/python examples/openai_chat.py

It needs the package `openai`. ROUTER_URL and API_KEY name another router. The newest session of
the key's account pays; docs/openai.md says how to name another one.
"""

import os
from pathlib import Path

from openai import OpenAI

VAR = Path(os.environ.get("VAR_DIR", "var"))
ROUTER_URL = os.environ.get("ROUTER_URL", "http://127.0.0.1:5010")
API_KEY = os.environ.get("API_KEY") or (VAR / "api_key").read_text()

client = OpenAI(base_url=f"{ROUTER_URL}/v1", api_key=API_KEY)
model = client.models.list().data[0].id

answer = client.chat.completions.create(
    model=model,
    messages=[{"role": "user", "content": "What is the capital of Japan?"}],
)
print(answer.choices[0].message.content)

stream = client.chat.completions.create(
    model=model,
    messages=[{"role": "user", "content": "Why do we sleep?"}],
    max_tokens=100,
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
