"""A sample town, and the people in it."""
