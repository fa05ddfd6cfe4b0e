"""What the chain's events say of sessions, tasks and money, as rows."""
