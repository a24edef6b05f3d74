"""What is known of each planted defect, by topic: the check that must catch it, its size, where it lives, its source."""
