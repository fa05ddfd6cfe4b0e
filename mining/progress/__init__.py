"""Moves every task on: deadlines, replacements, reveals, and changes made on chain by others."""
