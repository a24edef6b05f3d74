"""Releases side by side: the last series of each package, what fails in which, and since when."""
