"""Who allowed what, since when, and the proof."""
