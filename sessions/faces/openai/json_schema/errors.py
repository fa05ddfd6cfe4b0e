"""What may be wrong with a client's schema."""


class SchemaError(Exception):
    """A member of a schema is refused; `path` says which."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class SchemaInvalid(SchemaError):
    """The member is no JSON Schema, no value fits it, or it costs too much to look through."""


class NotHeld(SchemaError):
    """The member means something that no answer can be held to here."""
