"""Formatters for log lines: text, or JSON with LOG_FORMAT=json. Both remove secrets."""

import json
import logging
import re
from datetime import UTC, datetime

from sessions.log_context import NAMES

_SECRETS = (
    (re.compile(r"\bcor_[A-Za-z0-9_-]{16,}"), "cor_…"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 …"),
    (re.compile(r"(?<=://)([^:@/\s]*):[^@/\s]+@"), r"\1:…@"),
    (re.compile(r"(?i)(private[ _-]?key\W{1,4})(0x)?[0-9a-f]{64}"), r"\1…"),
)


def without_secrets(text: str) -> str:
    """Return the text with keys, tokens and passwords replaced by an ellipsis."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class LineFormatter(logging.Formatter):
    """Formats a record as a line of text."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, message, ids and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= {name: getattr(record, name) for name in NAMES if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(line, ensure_ascii=False, default=str))
