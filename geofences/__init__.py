"""What a place is, and how one is entered and left."""
