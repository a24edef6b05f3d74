"""The self-test: the suite audited like a measuring instrument (`dropcheck selftest`)."""
