"""The base of what the owner of a node can mend."""


class NodeError(Exception):
    """A node's settings, files or surroundings are not as they have to be; the text says why."""
