"""How often somebody is spoken to, and what it may cost."""
