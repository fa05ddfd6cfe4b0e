"""A model's file is tried in a process of its own before this one opens it.

llama.cpp trusts a GGUF file's numbers, and a damaged or made-up one can end the process that reads
it. Here that costs the process that tries it. A file that has passed is not tried again.
"""

import hashlib
import logging
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
"""A large model has to be read from a slow disk."""
_TOKENS = 64
_PASSED = "passed"
_TEXTS = ("The hen is in the inn.", "Grüße, 你好 👋🏽\n\0", "<s></s>" + "9" * 500)

logger = logging.getLogger(__name__)


class ModelUnfit(LlamaError):
    """The file ends, or fails in, the process that tries it."""


def require_sound(path: Path, passed: Path | None = None) -> None:
    """Have a model's file tried: its vocabulary, its chat template, and one token.

    Args:
        passed: a folder that remembers which files have passed.

    Raises:
        ModelUnfit: it cannot be used; the text says what became of it.
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
        raise ModelUnfit(f"model: {path.name} gives no token within {TIME_S:.0f} s") from None
    if tried.returncode < 0:
        name = signal.Signals(-tried.returncode).name
        raise ModelUnfit(f"model: {path.name} ends the process that tries it ({name})")
    if tried.returncode != 0 or _PASSED not in tried.stdout:
        reason = (tried.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ModelUnfit(f"model: {path.name} cannot be used: {reason[:300]}")
    logger.info("model %s has been tried in a process of its own", path.name)
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark.touch()


def _identity(path: Path) -> str:
    about = path.stat()
    known = (str(path.resolve()), about.st_size, about.st_mtime_ns, llama_cpp.__version__)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


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
    except PromptError as error:  # it may be of use without a template
        print(error, file=sys.stderr)
    context = Context(model, sequence_tokens=_TOKENS, sequences=1, batch_tokens=8, threads=1)
    context.decode([Run(0, 0, [0, model.vocabulary_size - 1], outputs=1)])
    if not np.isfinite(context.logits(0)).all():
        raise LlamaError("its logits are no numbers")
    context.close()
    model.close()


def main(path: Path) -> int:
    """Try a file; the exit status, if there is one."""
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
