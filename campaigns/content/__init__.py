"""What a message says: its text, in which language, how long it is, and where its links lead."""
