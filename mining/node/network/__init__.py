"""Network tasks on a miner's machine: what an idle node does to earn all the same."""
