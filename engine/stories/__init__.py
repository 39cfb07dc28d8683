"""Texts that tell what happens in a town, played against the engine."""
