"""What the descriptions of all faces share."""
