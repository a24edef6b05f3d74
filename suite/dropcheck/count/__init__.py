"""From coins to counts that add: exact, in any order, in bounded memory."""
