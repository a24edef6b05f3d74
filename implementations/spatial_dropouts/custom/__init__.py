"""Our own layers: the plain NumPy reference, and the PyTorch layer."""
