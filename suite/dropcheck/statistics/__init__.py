"""Statistics as pure functions of counts: exact tests, what they can resolve, and how many coins they need."""
