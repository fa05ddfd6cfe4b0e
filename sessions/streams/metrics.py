"""Metrics of live answers, named after the GenAI conventions of OpenTelemetry.

Each process counts for itself; `cortensor_site.metrics` shows the sum. An answer counts once:
requests that resume a stream or follow another client's are not counted.
"""

import time

from prometheus_client import Counter, Gauge, Histogram

from sessions.streams.answer import AnswerDone, AnswerPiece, StreamEvent

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 40, 80, 160, 640)
_FAST = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5)

TIME_TO_FIRST_TOKEN = Histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "From when a task was taken to the first piece of its answer",
    buckets=_SECONDS,
)
TIME_PER_OUTPUT_TOKEN = Histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Between the tokens of an answer, after the first",
    buckets=_FAST,
)
REQUEST_DURATION = Histogram(
    "gen_ai_server_request_duration_seconds",
    "From when a task was taken to the end of its answer",
    buckets=_SECONDS,
)
PROMPT_TOKENS = Counter("cortensor:prompt_tokens", "Tokens of the prompts that were answered")
GENERATION_TOKENS = Counter("cortensor:generation_tokens", "Tokens of the answers")
ANSWERS = Counter(
    "cortensor:request_success", "Answers that came to their end", ["finished_reason"]
)
STREAMS_OPEN = Gauge(
    "cortensor:num_streams_open", "Streams that clients follow now", multiprocess_mode="livesum"
)


class AnswerClock:
    """Measures one answer from its start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first: float | None = None

    def see(self, events: list[StreamEvent]) -> None:
        """Record events of the answer."""
        now = time.monotonic()
        for event in events:
            match event:
                case AnswerPiece() if self._first is None:
                    self._first = now
                    TIME_TO_FIRST_TOKEN.observe(now - self._started)
                case AnswerDone(_, finish_reason, prompt_tokens, completion_tokens):
                    REQUEST_DURATION.observe(now - self._started)
                    PROMPT_TOKENS.inc(prompt_tokens)
                    GENERATION_TOKENS.inc(completion_tokens)
                    ANSWERS.labels(finish_reason).inc()
                    if self._first is not None and completion_tokens > 1:
                        each_s = (now - self._first) / (completion_tokens - 1)
                        TIME_PER_OUTPUT_TOKEN.observe(each_s)
