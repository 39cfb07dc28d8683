"""Which moment a campaign waits for: place, visit, hours, cart."""
