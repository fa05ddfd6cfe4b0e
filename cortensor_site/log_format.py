"""Log lines for people and, with LOG_FORMAT=json, for machines. Neither lets a secret out."""

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
    """The text with keys, tokens and passwords blotted out."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class LineFormatter(logging.Formatter):
    """One line for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the ids, and an error's traceback."""

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
