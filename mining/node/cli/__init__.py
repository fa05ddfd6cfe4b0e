"""The command line for the owner of a miner."""
