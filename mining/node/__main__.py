"""Run the miner's command line: `python -m mining.node`."""

import sys

from mining.node.cli.parser import main

sys.exit(main())
