"""Correct twins of layers with hidden dropout, seen through instruments, under many root seeds: does one fail?

    python tests/measurements/twins.py --seeds 50 --out twins.jsonl

Each audit asks exact questions of six families in float32 and, of the coin cases of `quick` for that root seed, the cheapest that
make up so many coins together. The file grows by one line an audit; what it holds is not run again. A twin whose framework is
missing is left out, and named. Twins of Keras run on the backend of KERAS_BACKEND:
one coin case at rate .5, and no question that no seed changes.

    KERAS_BACKEND=jax python tests/measurements/twins.py --twins "keras attention" "keras state" "keras directions"
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeds import accusing, cheapest, known

import dropcheck
from dropcheck.auditing import target as examination
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.statistics import binomial

sys.path.insert(0, str(Path(__file__).parents[1]))

SELECT = (
    "mask",
    "rate.marginal",
    "rate.zero",
    "rate.one",
    "scale",
    "seed.reproducible",
    "gradient.mask",
    "mode.inference",
)
COUNTED = (
    "mask",
    "rate.marginal",
    "scale",
    "seed.reproducible",
    "gradient.mask",
)  # whose answers vary with the root seed


@dataclass(frozen=True)
class Twin:
    """``make``, ``adapter``: module:attribute."""

    make: str
    adapter: str
    framework: str
    pattern: str
    seeds: tuple[str, ...]
    modes: tuple[str, ...] = ("eager",)
    case: str = ""  # the one coin case; empty: the cheapest of `quick`

    def implementation(self) -> Implementation:
        """Raises ImportError where its framework is missing."""
        place, _, attr = self.make.partition(":")
        return Implementation(
            make=getattr(importlib.import_module(place), attr),
            adapter=self.adapter,
            framework=self.framework,
            contract=Contract(pattern=Pattern.parse(self.pattern), seeds=self.seeds),
        )


def _keras(kind: str, pattern: str, case: str) -> Twin:
    adapter = "spatial_dropouts.instruments.keras_adapter:KerasInstrument"
    return Twin(f"kits.planted_keras_sites:{kind}", adapter, "keras", pattern, ("global", "constructor"), case=case)


_TORCH = "spatial_dropouts.instruments.torch_adapter:TorchInstrument"
TWINS = {
    "torch attention": Twin("kits.planted_attention:Manual", _TORCH, "torch", "n h=4 q k=64 -> n h q k", ("global",)),
    "torch stack": Twin("kits.planted_attention:ManualStack", _TORCH, "torch", "t=2 n h=64 -> t n h", ("global",)),
    "flax attention": Twin(
        "kits.planted_flax:Right",
        "spatial_dropouts.instruments.flax_linen:LinenInstrument",
        "flax-linen",
        "n h=4 q k=16 -> n h q k",
        ("key",),
        ("jit",),
    ),
    "keras attention": _keras("Attention", "n h=4 q k=16 -> n h q k", "float32 rate=0.5 6144,16,1 calls=24"),
    "keras state": _keras("Carried", "n t=2 g=3 h -> n g h", "float32 rate=0.5 1536,66,2 calls=24"),
    "keras directions": _keras("BothWays", "n t=2 d=2 f -> n d f", "float32 rate=0.5 1536,66,2 calls=24"),
}


def label(name: str) -> str:
    """The name of a twin in the file, with the backend that it ran on."""
    if TWINS[name].framework != "keras":
        return name
    import keras

    return f"{name} on {keras.backend.backend()}"


def told(records: list[dict[str, Any]]) -> str:
    """What the audits of a file came to."""
    parts = []
    for twin in sorted({r["twin"] for r in records}):
        some = [r for r in records if r["twin"] == twin]
        parts.append(f"{twin}: {sum(bool(r['findings']) for r in some)} of {len(some)} audits fail or are undecided")
    bad = sum(bool(r["findings"]) for r in records)
    most = binomial.one_sided(bad, len(records), 0.05)[1] if records else 1.0
    return f"{'; '.join(parts)}; the share of such audits is below {most:.2g} (exact, 95 %)"


def audited(implementation: Implementation, twin: Twin, seed: int) -> list[dict[str, str]]:
    """What does not pass."""
    result = dropcheck.audit(
        implementation,
        select=COUNTED if twin.case else SELECT,
        modes=twin.modes,
        dtypes=("float32",),
        cases=(twin.case,) if twin.case else (),
        seed=seed,
        in_process=True,
        jobs=1,
        causes=False,
    )
    (target,) = result.targets
    return accusing(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--coins", type=float, default=2e5, help="coins of one audit")
    parser.add_argument("--out", type=Path, default=Path("twins.jsonl"))
    parser.add_argument("--twins", nargs="*", default=list(TWINS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    whole = examination.asked_cases

    def some(*arguments: Any, **more: Any) -> Any:
        return cheapest(whole(*arguments, **more), given.coins)

    examination.asked_cases = some  # type: ignore[assignment]
    here: dict[str, Implementation] = {}
    for name in given.twins:
        try:
            here[name] = TWINS[name].implementation()
        except ImportError as error:
            print(f"{name} is left out: {error}")
    records = list(known(given.out))
    done = {(r["twin"], r["seed"]) for r in records}
    began = time.monotonic()
    with given.out.open("a") as out:
        for seed in range(given.first, given.first + given.seeds):
            for name, implementation in here.items():
                if (label(name), seed) in done:
                    continue
                record = {"twin": label(name), "seed": seed, "findings": audited(implementation, TWINS[name], seed)}
                records.append(record)
                out.write(json.dumps(record) + "\n")
                out.flush()
                for one in record["findings"]:
                    print(f"{name} seed {seed}: {one}", flush=True)
            print(f"seed {seed}: {told(records)}; {time.monotonic() - began:.0f} s", flush=True)
    print(told(records))


if __name__ == "__main__":
    main()
