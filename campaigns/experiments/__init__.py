"""Who gets which variant, who gets nothing to compare with, and what that shows."""
