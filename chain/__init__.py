"""Everything that speaks EVM, and what every process of the project has to undo first.

`py_ecc`, which the libraries for keys import, raises Python's recursion limit to 100,000. The C
stack ends long before. JSON that is nested deep enough, or a chat template that calls itself, would
end the process by SIGSEGV in place of a RecursionError. Whoever handles keys imports this package.
"""

import sys

import py_ecc  # noqa: F401 - it raises the limit once, when it is first imported

sys.setrecursionlimit(1_000)
