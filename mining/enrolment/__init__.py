"""A miner's way into the network's Redis: it proves its key and gets a mailbox."""
