"""How requests come in: who asks, within which limits, and how one is refused."""
