"""What the miner's engine is measured against, and the model that all of them run."""
