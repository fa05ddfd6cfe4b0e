"""Network tasks on a miner's machine: work by which an idle node earns points."""
