"""Detection over recorded files, and how well it does on them."""
