"""Whom a campaign means: what is known of a shopper, what they did, and the lists they are on."""
