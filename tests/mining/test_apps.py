"""The recursion limit of processes that read untrusted JSON."""

import json

import pytest


def test_deeply_nested_json_raises_instead_of_killing_the_process():
    with pytest.raises(RecursionError):
        json.loads("[" * 1_000_000)
