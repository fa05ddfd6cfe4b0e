"""What each answer is worth: read, compared, run again where that decides, and settled."""
