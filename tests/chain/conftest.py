"""Tests of the chain package use a real chain."""

from tests.anvil import anvil, chain, deployed

__all__ = ["anvil", "chain", "deployed"]
