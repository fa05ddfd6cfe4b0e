"""Assigns queued tasks to miners: candidates, the draw, the lease, the job in the mailbox."""
