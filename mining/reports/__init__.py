"""Collects miners' reports exactly once, checks them and stores their effects."""
