"""Traffic: is this phone in a car that is stuck? From its own fixes, from other phones, from flow feeds."""
