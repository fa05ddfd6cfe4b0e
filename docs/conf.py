"""Sphinx reads the repository's Markdown as it is, and `make docs` builds a site from it.

The source folder is the repository, so that pages link to each other, to READMEs beside the code
and to files by the same relative paths that a forge follows. Sphinx checks each of them.
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent.parent / "chain"))
from version import VERSION  # the module alone: its package needs the project's own packages

CONTENTS = {
    "Start": ["One machine, one command </README>", "examples/README"],
    "Use": [
        *("docs/openai", "docs/live", "docs/access", "docs/x402", "docs/clients"),
        *("docs/models", "docs/miner", "docs/operations"),
    ],
    "Understand": [
        *("docs/architecture", "docs/reference/task-identity", "docs/reference/task-life"),
        *("docs/reference/deadlines", "docs/reference/streams", "docs/reference/sampling"),
        *("docs/reference/commit-reveal", "docs/reference/judging", "docs/reference/money"),
        *("docs/reference/contents", "docs/reference/envelopes", "docs/reference/chain"),
        *("docs/reference/network-tasks", "docs/reference/trust"),
        *("contracts/README", "contracts/AUDIT", "mining/node/models/README"),
    ],
    "Decide": ["docs/decisions/README", "docs/decisions/0*"],
    "Take part": ["CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT", "CHANGELOG"],
}
"""The side bar. Sphinx warns of a page that it leaves out."""

project = "Cortensor"
author = "The Cortensor contributors"
version = release = VERSION

extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = [
    *("*.md", "docs/**.md", "contracts/*.md", "examples/*.md", "mining/node/models/*.md"),
]
exclude_patterns = [".*", "node_modules", "var", "contracts/out", "contracts/cache", "docs/_build"]

myst_heading_anchors = 4
"""Headings have the anchors that a forge gives them, and a link to one that is missing fails."""

html_theme = "furo"
html_title = f"Cortensor {VERSION}"
html_extra_path = ["start"]
"""The site's address leads to its first page."""
html_copy_source = False
html_show_copyright = False
highlight_language = "text"


def setup(app: Sphinx) -> None:
    """Have the first page carry the side bar, of which a forge would show the source."""
    app.connect("source-read", _add_contents)


def _add_contents(_: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            options = f":hidden:\n:glob:\n:caption: {caption}"
            listed = "\n".join(each if "<" in each else f"/{each}" for each in pages)
            source[0] += f"\n```{{toctree}}\n{options}\n\n{listed}\n```\n"
