"""Measures what the product costs, end to end and part by part, beside what else there is."""
