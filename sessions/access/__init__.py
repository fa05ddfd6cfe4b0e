"""Who may: keys, sign-in, signed requests, limits and budgets, and who sees which session."""
