"""The rooms: folders that a person can take in, modules that can be read at a sitting, no circles."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import grimp
import pytest

from contracts.sources import source_files

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cortensor_site", "mining", "sessions", "chain")
APART = {"migrations", "__pycache__"}
"""Folders whose files nobody reads from the first to the last."""
MAX_FILES = 14
MAX_LINES = 400
