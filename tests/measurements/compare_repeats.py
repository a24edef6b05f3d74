"""Comparisons of one unchanged layer with itself under other root seeds: how often anything is called changed.

``python tests/measurements/compare_repeats.py 5 custom.torch torch.Dropout1d``: 5 audits a target, all pairs compared.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter

import dropcheck
from dropcheck.report.compare import audits, records
from dropcheck.results.audit import Result


def main(times: int, targets: list[str]) -> int:
    """Print what the pairs say; 1 where a pair says worse, better or moved."""
    words: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    for name in targets:
        results: list[Result] = []
        for seed in range(1, times + 1):
            results.append(dropcheck.audit(name, seed=seed, jobs=1))
            print(f"{name}, root seed {seed}: {results[-1].verdict}", file=sys.stderr, flush=True)
        for (i, old), (j, new) in itertools.permutations(enumerate(results, 1), 2):
            found = audits.compare([old, new], [f"seed {i}", f"seed {j}"])
            words.update(found.counts[0])
            codes[records.exit_code(found)] += 1
            for row in found.rows:
                if row.changes[0].word in ("worse", "better", "moved"):
                    print(f"{name}, seeds {i} and {j}: {row.check} {row.case}: {row.changes[0].text}")
    print(f"answers compared: {dict(words)}; exit codes of the pairs: {dict(codes)}")
    return int(any(words[w] for w in ("worse", "better", "moved")))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
