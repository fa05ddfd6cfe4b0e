"""Which request, session and task a log line is about, for all that is logged meanwhile."""

import logging
from contextvars import ContextVar

_context: ContextVar[dict[str, str | int]] = ContextVar("log_context")
NAMES = ("request_id", "session_id", "task_id")


def bind(**values: str | int) -> None:
    """Add to what this request's (or thread's) log lines say, from now on."""
    _context.set(_context.get({}) | values)


class ContextFilter(logging.Filter):
    """Gives every record the ids that are bound."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _context.get({}).items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
