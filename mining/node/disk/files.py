"""Files that are written once, and kept for longer than any task lasts."""

import os
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

KEPT_S = 24 * 3600.0


def write_once(path: Path, text: str) -> None:
    """Write a file atomically. Once this returns, the file survives a crash.

    Raises:
        FileExistsError: the file exists already. It is not changed.
    """
    with NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part = Path(file.name)
    try:
        os.link(part, path)  # unlike a rename, a link never replaces an existing file
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def forget_old(folder: Path) -> int:
    """Delete the files that are older than `KEPT_S`. Return how many."""
    oldest = time.time() - KEPT_S
    old = [path for path in folder.iterdir() if path.stat().st_mtime < oldest]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
