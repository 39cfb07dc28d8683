"""What an operator can set, with its defaults."""
