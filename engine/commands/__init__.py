"""What the words of the command line do. A command imports what it needs when it runs."""
