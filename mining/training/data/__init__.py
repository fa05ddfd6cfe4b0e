"""The texts that the shipped model learned from."""
