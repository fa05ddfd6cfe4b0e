"""A node at work: jobs from its mailbox, answers and signed reports into it."""
