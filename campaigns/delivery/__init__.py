"""How messages go out, what providers answer, and what follows from it."""
