"""Reads grammars within limits, each in a process of its own first.

A grammar of a few kilobytes can keep the library busy for a minute, and native code cannot be
interrupted. In a process of its own the work has a limit, and a crash ends that process only. The
trial reads the grammar with a vocabulary of single bytes, so it needs no model.
"""

import hashlib
import json
import resource
import select
import subprocess
import sys
import threading
import time
from collections import OrderedDict

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from mining.node.llm.deep_stack import call_with_deep_stack

STEP_MAX_ITEMS = 1_000
"""The parser's items for one token. All answers of an engine wait for the slowest token."""
LIMITS = LLParserLimits(
    max_lexer_states=50_000,  # of up to 2 kB each
    step_max_items=STEP_MAX_ITEMS,
    verbose_errors=False,  # verbose errors quote the whole grammar and would end up in logs
)
"""The limits of the library's work. All miners need the same ones, since they can fail a task."""
CPU_S = 2
"""The most processor time for one grammar. Grammars of real schemas take milliseconds."""
WALL_S = 30.0
"""The longest wait, in case the process does not get the processor."""
_REMEMBERED = 4_096
_READY = "ready"


def read_grammar(tokenizer: LLTokenizer, lark: str) -> LLMatcher:
    """Read a grammar in the Lark dialect. The matcher's `get_error` says what is wrong with it."""
    return call_with_deep_stack(
        lambda: LLMatcher(tokenizer, LLMatcher.grammar_from_lark(lark), log_level=0, limits=LIMITS)
    )


class TrialFailed(Exception):
    """The grammar takes too much time, or ends the process that reads it."""


class GrammarTrial:
    """One process that tries grammars, started again when a grammar has ended it.

    Threads may share it. A grammar that passed is not tried again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._passed: OrderedDict[bytes, None] = OrderedDict()

    def require_quick(self, lark: str) -> None:
        """Have a grammar read. Raises TrialFailed; an unreadable grammar passes."""
        digest = hashlib.sha256(lark.encode(errors="surrogatepass")).digest()
        with self._lock:
            if digest in self._passed:
                self._passed.move_to_end(digest)
                return
            self._try(lark)
            self._passed[digest] = None
            if len(self._passed) > _REMEMBERED:
                self._passed.popitem(last=False)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _try(self, lark: str) -> None:
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(lark).encode() + b"\n")
            process.stdin.flush()
            answered = _line_of(process, WALL_S) is not None
        except BrokenPipeError:
            answered = False
        if not answered:
            self._end()
            raise TrialFailed(
                f"grammar: it takes more than {CPU_S} s to read, or ends the process that reads it;"
                " simplify it"
            )

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.grammar_trial"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if _line_of(self._process, WALL_S) != _READY:
                self._end()
                raise TrialFailed("grammar: the process that tries grammars does not start")
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            process.wait()


def _line_of(process: "subprocess.Popen[bytes]", within_s: float) -> str | None:
    """Return the next line of a process, or None if it ends or says nothing in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], within_s)
    line = process.stdout.readline() if ready else b""
    return line.decode().strip() or None


def _read(lark: str) -> None:
    """Read a grammar, and look which bytes may come first."""
    matcher = read_grammar(LLTokenizer("byte"), lark)
    if not matcher.get_error():
        matcher.compute_bitmask()


def main() -> None:
    """Read a grammar a line, and answer each with a line."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _read('start: "a"')
    print(_READY, flush=True)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    for line in sys.stdin:
        # The system ends the process by SIGXCPU when this is used up.
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + CPU_S, hard))
        try:
            _read(json.loads(line))
        except BaseException as error:  # PyO3 raises a panic as a BaseException
            print(type(error).__name__, flush=True)
        else:
            print("read", flush=True)


if __name__ == "__main__":
    main()
