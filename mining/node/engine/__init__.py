"""Many answers at once from one model, each drawn by the one rule that all miners share."""
