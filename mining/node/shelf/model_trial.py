"""Tries a model's file in a separate process before the node opens it.

llama.cpp trusts the numbers in a GGUF file. A damaged or malicious file can crash the process that
reads it. The trial lets it crash another process than the node's. A file that has passed is not
tried again.
"""

import hashlib
import logging
import platform
import resource
import signal
import subprocess
import sys
from pathlib import Path

import llama_cpp
import numpy as np

from mining.node.llm.llama import Context, LlamaError, Model, Run
from mining.node.llm.prompts import PLAIN, ModelPrompts, PromptError

TIME_S = 600.0
"""The longest time of a trial. A slow disk takes minutes to read a large model."""
_TOKENS = 64
_AT_ONCE = 16
"""How many tokens the trial runs at once. A prompt runs other kernels than a single token does."""
_PASSED = "passed"
_TEXTS = ("The hen is in the inn.", "Grüße, 你好 👋🏽\n\0", "<s></s>" + "9" * 500)

logger = logging.getLogger(__name__)


class ModelUnfit(LlamaError):
    """The file crashed the process that tried it, or failed the trial."""


def require_sound(path: Path, passed: Path | None = None) -> None:
    """Try a model's file in a separate process: its vocabulary, its chat template and one token.

    Args:
        path: the file.
        passed: a folder in which the files that have passed are recorded. None records nothing.

    Raises:
        ModelUnfit: the file cannot be used. The text says why.
    """
    mark = None if passed is None else passed / _identity(path)
    if mark is not None and mark.exists():
        return
    command = [sys.executable, "-m", f"{__package__}.model_trial", str(path)]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIME_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelUnfit(f"model: {path.name} made no token within {TIME_S:.0f} s") from None
    if tried.returncode < 0:
        name = signal.Signals(-tried.returncode).name
        raise ModelUnfit(f"model: {path.name} crashed the process that tried it ({name})")
    if tried.returncode != 0 or _PASSED not in tried.stdout:
        reason = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelUnfit(f"model: {path.name} cannot be used: {reason[:300]}")
    logger.info("model %s has passed a trial in a separate process", path.name)
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark.touch()


def _identity(path: Path) -> str:
    """Return a name for this file, on this processor and with this build of llama.cpp.

    With another processor or another build the file may fail.
    """
    about = path.stat()
    known = (str(path.resolve()), about.st_size, about.st_mtime_ns, *_library(), _processor())
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


def _library() -> tuple[str, int]:
    """Return the version of llama.cpp and the time of its installation.

    Two builds of one version may have different kernels.
    """
    return llama_cpp.__version__, Path(llama_cpp.__file__).stat().st_mtime_ns


def _processor() -> str:
    """Return the features of the first processor on Linux, or else the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(line for line in lines if line.startswith(wanted))


def _try(path: Path) -> None:
    model = Model(path)
    prompts = ModelPrompts(model)
    for text in _TEXTS:
        for token in prompts.tokenise(text, PLAIN):
            model.piece(token)
    for token in range(model.vocabulary_size):
        model.piece(token)
        model.is_end(token)
    try:
        prompts.tokenise(_TEXTS[1], 0)
    except PromptError as error:  # a model without a usable chat template can still be served
        print(error, file=sys.stderr)
    context = Context(model, sequence_tokens=_TOKENS, sequences=1, batch_tokens=_AT_ONCE, threads=1)
    last = model.vocabulary_size - 1
    for place, tokens in ((0, [0, *[last] * (_AT_ONCE - 1)]), (_AT_ONCE, [last])):
        context.decode([Run(0, place, tokens, outputs=1)])
        if not np.isfinite(context.logits(0)).all():
            raise LlamaError("its logits are not finite")
    context.close()
    model.close()


def main(path: Path) -> int:
    """Try a file and return the exit status. A bad file may crash the process instead."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _try(path)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(_PASSED)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
