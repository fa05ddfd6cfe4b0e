"""Finds the file of a model: a local GGUF file, or one in a Hugging Face repository."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mining.node.errors import NodeError

_BETWEEN_MODELS = re.compile(r",\s*(?=\d+=)")
_REPOSITORY = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::([^:]+))?")
DEFAULT_PATTERN = "*Q4_K_M*.gguf"
_PART_BYTES = 8 * 1024 * 1024


class ModelSourceError(NodeError):
    """The model's source is not valid, or its file is missing or is not the expected one."""


@dataclass(frozen=True)
class Repository:
    """A file in a Hugging Face repository.

    Args:
        name: the name of the repository, as in `owner/repo`.
        pattern: the name of the file, or a pattern that exactly one file must match.
    """

    name: str
    pattern: str


def read_sources(text: str) -> dict[int, str]:
    """Parse `NUMBER=SOURCE,NUMBER=SOURCE`, and return the sources by model identifier.

    Raises:
        ModelSourceError: the text is something else, or has a number twice.
    """
    sources: dict[int, str] = {}
    for part in _BETWEEN_MODELS.split(text):
        number, _, source = part.strip().partition("=")
        if not number.isdecimal() or not source or int(number) in sources:
            raise ModelSourceError(
                f"MODELS: {part!r} is not a new number with a source; give a list like"
                " 1=model.gguf,2=owner/repo"
            )
        sources[int(number)] = source
    return sources


def write_sources(sources: Mapping[int, str]) -> str:
    """Format sources by model identifier as `read_sources` parses them."""
    return ",".join(f"{number}={source}" for number, source in sorted(sources.items()))


def parse(model: str) -> Path | Repository:
    """Parse a source: a path that ends in .gguf or exists, `owner/repo` or `owner/repo:pattern`.

    Raises:
        ModelSourceError: the text is something else.
    """
    path = Path(model).expanduser()
    if model and ((path.suffix == ".gguf" and ":" not in model) or path.is_file()):
        return path
    match = _REPOSITORY.fullmatch(model)
    if match is None:
        raise ModelSourceError(
            f"MODEL: {model!r} is neither a GGUF file nor owner/repo or owner/repo:file-pattern"
        )
    return Repository(match[1], match[2] or DEFAULT_PATTERN)


def locate(model: str) -> Path:
    """Return the path of a model's file.

    A file in a repository is downloaded to Hugging Face's own cache, if it is not there yet.

    Raises:
        ModelSourceError: there is no such file.
    """
    source = parse(model)
    if isinstance(source, Repository):
        return _download(source)
    if not source.is_file():
        raise ModelSourceError(f"MODEL: there is no file {source}; give the path of a GGUF file")
    return source


def _download(repository: Repository) -> Path:
    from fnmatch import fnmatch

    from huggingface_hub import HfApi, hf_hub_download

    files = [name for name in HfApi().list_repo_files(repository.name) if name.endswith(".gguf")]
    found = sorted(name for name in files if fnmatch(name, repository.pattern))
    if not found:
        raise ModelSourceError(
            f"MODEL: no file of {repository.name} matches {repository.pattern};"
            f" it has {', '.join(files) or 'no GGUF file'}"
        )
    if len(found) > 1:
        raise ModelSourceError(
            f"MODEL: {repository.pattern} matches {', '.join(found)}; name one of them"
        )
    return Path(hf_hub_download(repository.name, found[0]))


def sha256_of(path: Path, progress: Callable[[float], None] | None = None) -> str:
    """Return the SHA-256 of a file in hex. `progress` is called with the share that is read."""
    digest, size, done = hashlib.sha256(), max(path.stat().st_size, 1), 0
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            digest.update(part)
            done += len(part)
            if progress is not None:
                progress(done / size)
    return digest.hexdigest()


def require_digest(
    path: Path, sha256: str, progress: Callable[[float], None] | None = None
) -> None:
    """Raise ModelSourceError unless a file has the given SHA-256."""
    found = sha256_of(path, progress)
    if found != sha256.lower().removeprefix("0x"):
        raise ModelSourceError(
            f"MODEL: {path} has SHA-256 {found}, not {sha256}; it is another file, or it was cut"
            " short"
        )
