"""Figures of a page: each a function from findings, or records of speed, to one drawing with its words and its numbers."""
