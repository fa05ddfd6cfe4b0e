"""Network tasks over REST."""
