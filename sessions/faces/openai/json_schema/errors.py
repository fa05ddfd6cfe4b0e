"""The errors in a client's schema."""


class SchemaError(Exception):
    """A member of a schema is refused. `path` is the member's path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class SchemaInvalid(SchemaError):
    """The member is not valid JSON Schema, no value fits it, or it is too complex."""


class NotHeld(SchemaError):
    """The member has a meaning that the grammar library cannot enforce."""
