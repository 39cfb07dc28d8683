"""Tells other systems what happened: signed webhooks to those who subscribed, and a stream to those who listen."""
