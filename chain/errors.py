"""The base of this package's errors."""


class ChainError(Exception):
    """Base class of all errors that concern the chain or this machine's connection to it."""
