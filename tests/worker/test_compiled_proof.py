"""The compiled proof says of every output what NumPy's says; and it is there wherever a C compiler was."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropcheck.contract import native
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.worker.server import coinwise, compiled
from dropcheck.worker.server import probe as probes
from dropcheck.worker.server import proof as proof_of
from dropcheck.worker.server.memory import memory_of, order_of
from spatial_dropouts.adapters import adapter_for

PATTERNS = [
    "n c l -> n c",
    "n l c -> n c",
    "n c h w -> n c",
    "n c l -> n",
    "n c l -> c",
    "t b h -> b h",
    "a b c d -> b d",
    "n c l -> n c l",
]
WORKER = Path(compiled.__file__).parent


def driver(pattern: str, affine: bool) -> Any:
    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        return x

    make = Contract.alpha if affine else lambda text, **more: Contract(Pattern.parse(text), **more)
    return adapter_for(
        layer, Implementation(make=layer, framework="numpy", contract=make(pattern, seeds=("generator",)))
    )


def outputs(probe: Any, coins: Any, calls: int, rng: Any) -> Any:
    """Outputs of a layer that multiplies: what is dropped is -0.0 where the input is negative."""
    x = np.asarray(probe.x)
    kinds = [c if a in probe.pattern.coins else 1 for a, c in zip(probe.pattern.axes, probe.shape, strict=True)]
    keep = rng.random((calls, *kinds)) >= coins
    return (x[None] * np.asarray(2, x.dtype) * keep).astype(x.dtype)


def both_ways(monkeypatch_functions: Any, adapter: Any, case: Any, blocks: Any) -> list[Any]:
    """Coins and proof of successive blocks with the library and without."""
    found = []
    for functions in (compiled.functions(), {}):
        monkeypatch_functions(functions)
        pattern, shape, dtype, rate, order = case
        probe = probes.make_probe(adapter, pattern, shape, dtype, "contiguous", rate, 3)
        memory, proof, coins = memory_of(pattern, shape, order), proof_of.Proof(), []
        for block in blocks(probe):
            arranged = np.ascontiguousarray(block.transpose((0, *(i + 1 for i in order))))
            coins.append(proof_of.prove_packed(probe, memory, arranged, proof))
        found.append((coins, proof.report(), probe.provers.get(order)))
    return found


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_both_proofs_say_the_same(data: st.DataObject) -> None:
    """Any shape, dtype and arrangement in memory; outputs that are right, and such with a few elements of another kind."""
    pattern = Pattern.parse(data.draw(st.sampled_from(PATTERNS)))
    shape = tuple(data.draw(st.sampled_from((1, 2, 3, 5, 8, 17, 33))) for _ in pattern.axes)
    shape = tuple(data.draw(st.sampled_from((s, s, 130))) if i == 1 else s for i, s in enumerate(shape))
    if int(np.prod(shape)) > 60_000:
        shape = tuple(min(s, 9) for s in shape)
    dtype = data.draw(st.sampled_from(("float32", "float16", "float64")))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    rate = 0.5
    adapter = driver(str(pattern), False)
    seed, wrong, calls = data.draw(st.integers(0, 999)), data.draw(st.integers(0, 3)), data.draw(st.integers(1, 4))

    def blocks(probe: Any) -> Any:
        rng = np.random.default_rng(seed)
        for number in range(3):
            block = outputs(probe, rate, calls, rng)
            flat = block.reshape(-1)
            if number:
                for place in rng.integers(0, flat.size, wrong):
                    flat[place] = rng.choice(
                        [0, 1.25, np.nan, -flat[place], 2 * np.asarray(probe.x).reshape(-1)[place % probe.x.size]]
                    )
            yield block

    with pytest.MonkeyPatch.context() as patch:
        one, two = both_ways(
            lambda functions: patch.setattr(compiled, "functions", lambda: functions),
            adapter,
            (pattern, shape, dtype, rate, order),
            blocks,
        )
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_array_equal(a, b)
    examples = ("example", "wrong_example")
    assert {k: v for k, v in one[1].items() if k not in examples} == {
        k: v for k, v in two[1].items() if k not in examples
    }
    for name in examples:
        assert (one[1][name] is None) == (two[1][name] is None)
        np.testing.assert_equal(one[1][name], two[1][name])


@pytest.mark.parametrize("pattern", ["n c l -> n c", "n l c -> n c"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(
    "shape", [(1025, 17, 3), (257, 66, 6), (9, 5, 1300), (5, 1300, 9), (4097, 1, 4), (40, 2100, 1)]
)
def test_the_library_is_what_proves_and_sees_every_element(
    pattern: str, dtype: str, affine: bool, shape: Any, monkeypatch: Any
) -> None:
    """Every shape that the library treats in a way of its own, with one element changed at a time."""
    if not compiled.functions():
        pytest.skip("no library: see the test of its presence")
    adapter, rng = driver(pattern, affine), np.random.default_rng(1)
    if affine and dtype == "float16":
        pytest.skip("a dropped float16 of alpha dropout has no single bits")
    probe = probes.make_probe(adapter, adapter.contract.pattern, shape, dtype, "contiguous", 0.5, 1)
    if affine:
        from dropcheck.worker.server import affine as constants

        factor, offset = float(constants.factor(0.5)), float(constants.offset(0.5))
        kinds = [s if a in probe.pattern.coins else 1 for a, s in zip(probe.pattern.axes, shape, strict=True)]
        gone = -1.7580993408473766 * factor + offset
        right = np.asarray(probe.x, np.float64) * factor + offset
        y = np.where(rng.random((2, *kinds)) < 0.5, gone, right[None]).astype(dtype)
    else:
        y = outputs(probe, 0.5, 2, rng)
    memory, proof = memory_of(probe.pattern, probe.shape, (0, 1, 2)), proof_of.Proof()
    coins = proof_of.prove_packed(probe, memory, y, proof)
    again = proof_of.prove_packed(probe, memory, y, proof)
    np.testing.assert_array_equal(coins, again)
    assert (proof.violations, proof.wrong_values) == (0, 0)
    prover = probe.prover(memory)
    assert prover is not None and prover.packed(y) is not None
    np.testing.assert_array_equal(coins, coinwise.pack(proof_of.prove_block(probe, y, proof)))
    for place in [0, y.size - 1, y[0].size - 1, y[0].size, *rng.integers(0, y.size, 60).tolist()]:
        bad = y.copy()
        value = bad.reshape(-1)[place]
        bad.reshape(-1)[place] = np.nextafter(value, np.asarray(9e3, dtype)) if value else np.asarray(1e-3, dtype)
        assert prover.packed(bad) is None, place
        if probe.shared > 1 and not affine:
            torn = y.copy()
            torn.reshape(-1)[place] = 0 if value else 2 * np.asarray(probe.x).reshape(-1)[place % probe.x.size]
            assert prover.packed(torn) is None, place


def test_the_proof_reads_and_writes_nothing_outside() -> None:
    """Outputs at the end of a mapped page, coins between marks: a byte too many would crash or show."""
    import mmap

    if not compiled.functions():
        pytest.skip("no library: see the test of its presence")
    adapter, rng = driver("n c l -> n c", False), np.random.default_rng(2)
    for shape in ((7, 11, 3), (3, 1030, 1), (2, 5, 1100), (33, 9, 4)):
        probe = probes.make_probe(adapter, adapter.contract.pattern, shape, "float32", "contiguous", 0.5, 1)
        for _ in range(6):
            y, memory = outputs(probe, 0.5, 64, rng), memory_of(probe.pattern, shape, (0, 1, 2))
            coins = proof_of.prove_packed(probe, memory, y, proof_of.Proof())
        pages = -(-y.nbytes // mmap.PAGESIZE)
        mapped = mmap.mmap(-1, pages * mmap.PAGESIZE)
        edge = np.frombuffer(mapped, np.float32, y.size, pages * mmap.PAGESIZE - y.nbytes).reshape(y.shape)
        edge[...] = y
        prover = probe.prover(memory)
        assert prover is not None
        np.testing.assert_array_equal(prover.packed(edge), coins)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 1), (1, 1, 1), (2, 3, 4, 5)])
def test_orders_of_axes_are_read_off_the_strides(shape: Any) -> None:
    from itertools import permutations

    for order in permutations(range(len(shape))):
        array = np.empty([shape[i] for i in order], np.float32).transpose(np.argsort(order))
        found = order_of(array.shape, array.strides, array.itemsize)
        assert found is not None and array.transpose(found).flags.c_contiguous
    gaps = np.empty((*shape[:-1], 2 * shape[-1]), np.float32)[..., ::2]
    assert (order_of(gaps.shape, gaps.strides, 4) is None) == (shape[-1] > 1 or max(shape[:-1]) > 1)
    assert order_of((2, 3), (-12, 4), 4) is None and order_of((2, 3), (0, 4), 4) is None


def test_the_library_is_there_where_a_compiler_was() -> None:
    """Else the tests above would hold NumPy against itself."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler ({compiler}): NumPy does all the work")
    assert native.library(str(WORKER), "proof") is not None, "install again: pip install -e ."


def test_a_stale_library_or_none_is_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    library = WORKER / "libproof.so"
    if not library.exists():
        pytest.skip("no library here")
    native.library.cache_clear()
    try:
        (tmp_path / "proof.c").write_bytes((WORKER / "proof.c").read_bytes() + b"\n")
        assert native.library(str(tmp_path), "proof") is None  # no library
        shutil.copy(library, tmp_path)
        assert native.library(str(tmp_path), "proof") is None  # of another source
        monkeypatch.setenv("DROPCHECK_NATIVE", "0")
        assert native.library(str(WORKER), "proof") is None
    finally:
        native.library.cache_clear()
