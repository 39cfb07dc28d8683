"""Codes that a message promises, from the pool to the till."""
