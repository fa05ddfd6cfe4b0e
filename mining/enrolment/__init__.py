"""Enrolment: a miner proves that it has its key, and gets a mailbox in the network's Redis."""
