"""The base of this package's errors."""


class ChainError(Exception):
    """Base: something between this machine and the chain is not as it should be."""
