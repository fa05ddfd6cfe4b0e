"""Measurements against a peer or a limit in the same run; each prints ratios, none asserts."""
