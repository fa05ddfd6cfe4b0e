"""From a request to a queued task: its options, price, reserve, number and row."""
