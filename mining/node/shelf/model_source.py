"""Where a model comes from: a GGUF file here, or one in a Hugging Face repository."""

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
    """The model cannot be had."""


@dataclass(frozen=True)
class Repository:
    """A file of a Hugging Face repository: its name, or a pattern that one file matches."""

    name: str
    pattern: str


def read_sources(text: str) -> dict[int, str]:
    """Read `NUMBER=SOURCE,NUMBER=SOURCE`: models by the numbers that sessions ask for them with.

    Raises ModelSourceError when it is something else.
    """
    sources: dict[int, str] = {}
    for part in _BETWEEN_MODELS.split(text):
        number, _, source = part.strip().partition("=")
        if not number.isdecimal() or not source or int(number) in sources:
            raise ModelSourceError(
                f"MODELS: {part!r} is not a number of its own and a source, as in"
                " 1=model.gguf,2=owner/repo"
            )
        sources[int(number)] = source
    return sources


def write_sources(sources: Mapping[int, str]) -> str:
    """The other way round."""
    return ",".join(f"{number}={source}" for number, source in sorted(sources.items()))


def parse(model: str) -> Path | Repository:
    """Read `MODEL`: a path that ends in .gguf or exists, `owner/repo` or `owner/repo:pattern`.

    Raises ModelSourceError when it is neither.
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
    """The path of a model's file, downloaded to Hugging Face's own cache where needed.

    Raises ModelSourceError when there is no such file.
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
    """A file's SHA-256 in hex. `progress` is told the share that is read, from 0 to 1."""
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
    """Raise ModelSourceError unless a file is the one that the network knows by this digest."""
    found = sha256_of(path, progress)
    if found != sha256.lower().removeprefix("0x"):
        raise ModelSourceError(
            f"MODEL: {path} has SHA-256 {found}, and {sha256} was asked for; it is another file,"
            " or it was cut short"
        )
