"""The limit of open files, and so of connections, of a process."""

import resource


def allow_files() -> int:
    """Raise the limit to the most that this machine allows, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
