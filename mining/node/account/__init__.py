"""A node's key, its enrolment with a router, and its own transactions: stake, claims, payouts."""
