"""The coin server: started by path under any interpreter from Python 3.9, with NumPy and the standard library only."""
