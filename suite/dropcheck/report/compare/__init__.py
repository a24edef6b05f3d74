"""Two or more audits side by side: what got worse, better, appeared and disappeared, and what is only noise."""
