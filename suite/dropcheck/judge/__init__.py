"""From counts to verdicts: the checks, the order in which they are judged, and what may have caused a failure."""
