"""The deployed contracts: addresses, deployment, role accounts, and reads of their state."""
