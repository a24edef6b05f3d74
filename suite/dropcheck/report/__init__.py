"""Reports: each a function from a result to text."""
