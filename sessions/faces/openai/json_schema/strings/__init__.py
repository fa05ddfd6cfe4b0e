"""Constraints of strings: patterns, formats and their complements."""
