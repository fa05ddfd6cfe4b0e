"""The models that a node owns: found, tried, measured, loaded."""
