"""What a node keeps on disk, so that a death loses no promise."""
