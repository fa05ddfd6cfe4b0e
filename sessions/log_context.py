"""The ids of the current request, session and task, which are added to log records."""

import logging
from contextvars import ContextVar

_context: ContextVar[dict[str, str | int]] = ContextVar("log_context")
NAMES = ("request_id", "session_id", "task_id")


def bind(**values: str | int) -> None:
    """Add ids to the following log records of this request or thread."""
    _context.set(_context.get({}) | values)


class ContextFilter(logging.Filter):
    """Adds the bound ids to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _context.get({}).items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
