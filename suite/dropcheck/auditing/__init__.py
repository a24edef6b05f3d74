"""The conductor of an audit: targets one after the other or side by side, from the plan to the result."""
