"""The base of what the owner of a node can mend."""


class NodeError(Exception):
    """A node's settings, files or surroundings are not as they have to be; the text says why."""

    temporary = False
    """Whether it may pass by itself, so that the same command may do later."""
