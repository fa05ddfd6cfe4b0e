"""Direct tasks: clients submit them by their own transactions, and the router queues them."""
