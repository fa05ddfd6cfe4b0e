"""Everything that talks to the EVM chain.

Importing this package also resets Python's recursion limit. The key libraries import `py_ecc`,
which raises the limit to 100,000, far more than the C stack can hold. With that limit, deeply
nested JSON or a chat template that calls itself ends the process with SIGSEGV instead of a
RecursionError. Every process that handles keys imports this package, so the limit is reset in all
of them.
"""

import sys

import py_ecc  # noqa: F401 - the first import raises the limit, so it has to come before the reset

sys.setrecursionlimit(1_000)
