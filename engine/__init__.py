"""Hears signals, asks the domains, acts. The only package that reads configuration and wires the others."""
