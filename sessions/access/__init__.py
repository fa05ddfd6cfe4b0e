"""Access control: keys, sign-in, signed orders, rate limits, budgets and visible sessions."""
