"""A node's key and its dealings with the contracts: stake, claims, enrolment."""
