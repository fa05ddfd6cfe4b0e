"""The version of the whole project. It is stated here and nowhere else.

Packaging reads it through `pyproject.toml`. The router, its webhooks and the OpenAPI document show
it, and so does a miner in its heartbeats. The module imports nothing, since a miner's own machine
has it too.
"""

VERSION = "0.1.0"
