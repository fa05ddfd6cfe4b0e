"""The list of models that a node's owner has chosen, with their digests: HOME/models.json."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mining.node.shelf.model_source import ModelSourceError, locate, require_digest, sha256_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ListedModel:
    """A listed model.

    Args:
        identifier: the number by which sessions ask for the model.
        source: where the file comes from, as `mining.node.shelf.model_source` reads it.
        sha256: the SHA-256 of the file, in hex.
    """

    identifier: int
    source: str
    sha256: str


class ModelList:
    """The models of a home, in the order of their identifiers."""

    def __init__(self, home: Path) -> None:
        self._path = home / "models.json"

    def __iter__(self) -> Iterator[ListedModel]:
        if not self._path.exists():
            return iter(())
        rows = json.loads(self._path.read_text())
        return iter(sorted((ListedModel(**row) for row in rows), key=lambda m: m.identifier))

    def get(self, identifier: int) -> ListedModel:
        """Return a listed model. Raises ModelSourceError."""
        for model in self:
            if model.identifier == identifier:
                return model
        raise ModelSourceError(
            f"model {identifier}: it is not listed; run `models add {identifier} SOURCE` first"
        )

    def add(
        self, identifier: int, source: str, sha256: str | None, progress: Progress
    ) -> ListedModel:
        """Find or download a model and list it. It replaces a model with the same identifier.

        Args:
            identifier: the number by which sessions ask for the model.
            source: where the file comes from, as `mining.node.shelf.model_source` reads it.
            sha256: the expected SHA-256 of the file, in hex. None accepts any file.
            progress: called with the name of a step and the share of it that is done.

        Raises:
            ModelSourceError: there is no such file, or it has another digest.
        """
        path = locate(source)
        if sha256 is not None:
            require_digest(path, sha256, partial(progress, "verifying"))
        else:
            sha256 = sha256_of(path, partial(progress, "hashing"))
        # Store an absolute path, since the node may be started from another folder.
        where = str(path.resolve()) if Path(source).expanduser().is_file() else source
        model = ListedModel(identifier, where, sha256.lower().removeprefix("0x"))
        self._write([*(m for m in self if m.identifier != identifier), model])
        return model

    def verify(self, progress: Progress) -> Iterator[ListedModel]:
        """Hash every model's file again, and yield each model whose file is unchanged.

        Raises:
            ModelSourceError: a file is missing or has changed.
        """
        for model in self:
            require_digest(
                locate(model.source), model.sha256, partial(progress, f"model {model.identifier}")
            )
            yield model

    def remove(self, identifier: int) -> None:
        """Remove a model from the list. Its file stays.

        Raises:
            ModelSourceError: the model is not listed.
        """
        self.get(identifier)
        self._write([model for model in self if model.identifier != identifier])

    def _write(self, models: list[ListedModel]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps([asdict(model) for model in models], indent=1))
        part.rename(self._path)
