"""What miners report: collected exactly once, checked, and turned into rows."""
