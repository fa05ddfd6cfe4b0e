"""The servers with which the miner's engine is compared, and the model that all of them run."""
