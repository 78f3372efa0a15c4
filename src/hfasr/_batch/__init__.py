"""Many inputs at once: the runner, its journal, and what they share."""
