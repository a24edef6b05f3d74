"""Speed: cells, blocks, limit and ratio, each a small module; see ``runner`` for how they go together."""
