"""The base class of the errors that the owner of a node can fix."""


class NodeError(Exception):
    """A setting, a file or a service that the node needs is not usable. The text says why."""

    temporary = False
    """Whether the cause may go away by itself, so that the same command may succeed later."""
