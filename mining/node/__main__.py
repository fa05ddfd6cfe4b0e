"""Runs the miner's command line: `python -m mining.node`."""

import sys

from mining.node.cli import main

sys.exit(main())
