"""What a node keeps on disk, so that it can keep its commitments after a crash."""
