"""Native code recurses over untrusted grammars. Each case runs in a process that may die."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mining.node.llm.deep_stack import call_with_deep_stack

RULES = "start: r0" + "".join(f"\nr{n}: r{n + 1}" for n in range(5_000)) + '\nr5000: "a"'
TOKENS = "start: T0" + "".join(f'\nT{n}: "b" T{n + 1}' for n in range(1_500)) + '\nT1500: "a"'
REFERENCES = "start: %json " + json.dumps(
    {
        "$ref": "#/$defs/0",
        "$defs": {str(n): {"items": {"$ref": f"#/$defs/{n + 1}"}} for n in range(1_500)}
        | {"1500": {}},
    }
)
READ = """
import sys
from pathlib import Path
import numpy as np
from mining.node.engine.grammar import Grammar
from mining.node.llm.llama import Model
model = Model(Path(sys.argv[1]))
grammar = Grammar(model, sys.stdin.read())
grammar.allowed(np.zeros(model.vocabulary_size, np.float32))
print("alive")
"""


@pytest.mark.parametrize("lark", [RULES, TOKENS, REFERENCES], ids=["rules", "tokens", "references"])
def test_a_long_chain_in_a_grammar_ends_no_process(model_path: Path, lark: str) -> None:
    read = subprocess.run(
        [sys.executable, "-c", READ, str(model_path)],
        input=lark,
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr[-2000:]
    assert read.stdout == "alive\n"


def test_what_a_call_raises_is_raised_and_other_threads_keep_their_stacks() -> None:
    before = threading.stack_size()
    with pytest.raises(ZeroDivisionError):
        call_with_deep_stack(lambda: 1 // 0)
    assert threading.stack_size() == before
    assert call_with_deep_stack(lambda: 7) == 7
