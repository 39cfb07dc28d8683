"""Campaigns tried out before they speak: on one shopper, and on events of the past."""
