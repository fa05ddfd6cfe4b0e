"""The servers that `bench.router` compares, and the load that it generates."""
