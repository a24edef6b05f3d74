"""From what was typed to a target, its contract, and the cases that a profile asks."""
