"""What several benchmarks need; no benchmark of its own."""
