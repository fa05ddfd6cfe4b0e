"""How many files, and so connections, a process may have open."""

import resource


def allow_files() -> int:
    """Raise the limit to the most that this machine allows, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
