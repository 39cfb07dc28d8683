"""What became of a campaign's moments, told for groups that are large enough."""
