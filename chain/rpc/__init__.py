"""JSON-RPC to the chain's endpoints, none of which is trusted alone."""
