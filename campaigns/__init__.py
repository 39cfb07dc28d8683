"""What to say, to whom, when, how often, over which channel."""
