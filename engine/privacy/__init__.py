"""What an installation owes the people it knows of: what is held, for how long, and how it is told, taken out and erased."""
