"""Signed messages, hashes and packed words, defined identically in Solidity.

The modules are pure: no Django, no web3 and no I/O, so a miner's machine can import them.
"""
