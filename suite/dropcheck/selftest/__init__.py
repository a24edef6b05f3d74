"""The suite audited like a measuring instrument."""
