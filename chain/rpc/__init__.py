"""JSON-RPC to the chain's endpoints. No single endpoint is trusted."""
