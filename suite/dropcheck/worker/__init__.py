"""The coin server: the process that holds one implementation, and what it needs (NumPy and the standard library)."""
