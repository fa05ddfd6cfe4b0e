"""The models that a node's owner has chosen, with the digests they had: HOME/models.json."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mining.node.shelf.model_source import ModelSourceError, locate, require_digest, sha256_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ListedModel:
    """A model by the number that sessions ask for it with; `sha256` is its file's, in hex."""

    identifier: int
    source: str
    sha256: str


class ModelList:
    """A home's models, in the order of their numbers."""

    def __init__(self, home: Path) -> None:
        self._path = home / "models.json"

    def __iter__(self) -> Iterator[ListedModel]:
        if not self._path.exists():
            return iter(())
        rows = json.loads(self._path.read_text())
        return iter(sorted((ListedModel(**row) for row in rows), key=lambda m: m.identifier))

    def get(self, identifier: int) -> ListedModel:
        """Find a model; raise ModelSourceError."""
        for model in self:
            if model.identifier == identifier:
                return model
        raise ModelSourceError(
            f"model {identifier}: it is not listed; `models add {identifier} SOURCE` does"
        )

    def add(
        self, identifier: int, source: str, sha256: str | None, progress: Progress
    ) -> ListedModel:
        """Find or download a model and list it, in the place of one with its number.

        Raises ModelSourceError: there is no such file, or it is not the one with this digest.
        """
        path = locate(source)
        if sha256 is not None:
            require_digest(path, sha256, partial(progress, "verifying"))
        else:
            sha256 = sha256_of(path, partial(progress, "hashing"))
        # A path is remembered in full: the node may be started from anywhere.
        where = str(path.resolve()) if Path(source).expanduser().is_file() else source
        model = ListedModel(identifier, where, sha256.lower().removeprefix("0x"))
        self._write([*(m for m in self if m.identifier != identifier), model])
        return model

    def verify(self, progress: Progress) -> Iterator[ListedModel]:
        """Hash every model again; raise ModelSourceError at the first that has changed."""
        for model in self:
            require_digest(
                locate(model.source), model.sha256, partial(progress, f"model {model.identifier}")
            )
            yield model

    def remove(self, identifier: int) -> None:
        """Forget a model, and leave its file; raise ModelSourceError."""
        self.get(identifier)
        self._write([model for model in self if model.identifier != identifier])

    def _write(self, models: list[ListedModel]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps([asdict(model) for model in models], indent=1))
        part.rename(self._path)
