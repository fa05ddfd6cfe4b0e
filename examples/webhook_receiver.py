"""Receive webhooks: check each signature, drop repetitions, and print what happened.

The signatures are those of Standard Webhooks, so its libraries check them as well. This file does
it with nothing but Python.

Let the network of `make run` reach a receiver on this machine, which it refuses otherwise:

    WEBHOOK_ALLOWED_NETWORKS=127.0.0.0/8 WEBHOOK_PLAIN_HTTP=1 make run

Make a webhook for http://127.0.0.1:9000/ as docs/access.md says ("Webhooks"). Its secret is shown
once. Then run the receiver, and ask the network something:

    .venv/bin/python examples/webhook_receiver.py whsec_…
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = int(os.environ.get("PORT", "9000"))
TOLERANCE_S = 300
MAX_BYTES = 64 * 1024
SECRET = base64.b64decode(sys.argv[1].removeprefix("whsec_"))

seen: set[str] = set()


def is_signed(message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether the router has signed this message, lately."""
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    mac = hmac.digest(SECRET, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    expected = "v1," + base64.b64encode(mac).decode()
    # There may be several, while a secret is being changed. The comparison takes constant time.
    return any(hmac.compare_digest(expected, each) for each in signatures.split())


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, and 401 to all else."""

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > MAX_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        message_id, timestamp, signatures = (
            self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if not is_signed(message_id, timestamp, body, signatures):
            self.send_error(401)
            return
        # Without a 2xx the router sends it again, under the same id.
        self.send_response(204)
        self.end_headers()
        if message_id not in seen:
            seen.add(message_id)
            message = json.loads(body)
            task, outcome = message["data"], message["data"]["outcome"]["code"]
            number = f"{task['session_id']}/{task['task_id']}"
            print(f"{message['type']}: task {number}: {outcome}", flush=True)

    def log_message(self, *_: object) -> None:
        """Print events only."""


print(f"listening on http://127.0.0.1:{PORT}/", flush=True)
HTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
