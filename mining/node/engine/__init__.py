"""Generates many answers at once with one model. All miners draw tokens by the same rule."""
