"""Deeply nested input is a RecursionError in every process, and ends none."""

import subprocess
import sys

import pytest

NESTED = """
import json, sys, threading
import {imported}
import eth_account, web3
assert sys.getrecursionlimit() <= 1_000, sys.getrecursionlimit()
def read():
    for text in ("[" * 500_000, '{{"a":' * 200_000):
        try:
            json.loads(text)
        except RecursionError:
            print("named")
read()
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("imported", ["chain.protocol.messages", "mining.node.cli.parser"])
def test_nested_json_ends_no_process(imported: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NESTED.format(imported=imported)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.split() == ["named"] * 4
