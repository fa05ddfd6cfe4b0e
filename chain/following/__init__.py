"""Fetching of new blocks and their events, up to the point where they are stored."""
