"""How a campaign comes to be, is changed, approved and ended, and who did it."""
