"""A decision as others read it: for a terminal, JUnit, SARIF, GitHub."""
