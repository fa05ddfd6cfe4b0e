"""Every task moves: deadlines, replacements, reveals, and what the chain did by itself."""
