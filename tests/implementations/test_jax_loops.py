"""Loops of the same equations are one program: nothing but the time of an audit may show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jax_loops = pytest.importorskip("spatial_dropouts.adapters.jax_loops")
jnp = jax.numpy


def body(factor: Any, start: Any = 0.0) -> Any:
    """A loop whose body is a new closure at each call, as in Keras' recurrent layers."""

    def run(xs: Any) -> Any:
        return jax.lax.scan(lambda carry, x: (carry * factor + x, jnp.tanh(carry)), start + xs[0], xs)[1]

    return run


def bodies() -> list[Any]:
    """The bodies that are known so far."""
    from jax.extend.core import primitives

    return list(primitives.scan_p.impl.bodies.values())


@pytest.fixture
def xs() -> Any:
    return jnp.asarray(np.random.default_rng(1).standard_normal((3, 4)), jnp.float32)


def test_loops_of_the_same_equations_are_one_and_give_what_they_gave(xs: Any) -> None:
    plain = body(0.3)(xs)
    slope = jax.grad(lambda xs: body(0.3)(xs).sum())(xs)
    with jax_loops.alike():
        for _ in range(3):
            assert np.array_equal(body(0.3)(xs), plain)
        assert len(bodies()) == 1
        for _ in range(2):
            assert np.array_equal(jax.grad(lambda xs: body(0.3)(xs).sum())(xs), slope)
        assert len(bodies()) == 3  # one more forward, one backward


@pytest.mark.parametrize(
    ("one", "other"), [(np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(1))), (0.0, -0.0)]
)
def test_numbers_that_differ_by_a_bit_are_two_loops(one: Any, other: Any, xs: Any) -> None:
    plain = [np.asarray(body(factor)(xs)) for factor in (one, other)]
    with jax_loops.alike():
        again = [np.asarray(body(factor)(xs)) for factor in (one, other)]
        assert len(bodies()) == 2
    assert [a.tobytes() for a in plain] == [b.tobytes() for b in again]


def test_a_mask_that_is_held_in_the_body_is_read_anew(xs: Any) -> None:
    masks = [jnp.asarray(np.random.default_rng(seed).integers(0, 2, 4), jnp.float32) for seed in (1, 2)]
    plain = [body(mask)(xs) for mask in masks]
    with jax_loops.alike():
        again = [body(mask)(xs) for mask in masks]
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))
    assert not np.array_equal(*plain)


def test_python_runs_at_each_call(xs: Any) -> None:
    """A layer whose third call does something else is seen as what it is."""
    calls = []

    def layer(xs: Any) -> Any:
        calls.append(1)
        return body(0.3 if len(calls) % 3 else 1.0)(xs)

    with jax_loops.alike():
        first, second, third, fourth = (np.asarray(layer(xs)) for _ in range(4))
    assert np.array_equal(first, second) and np.array_equal(first, fourth)
    assert not np.array_equal(first, third)


def test_a_loop_that_speaks_to_python_stands_for_itself(xs: Any) -> None:
    told: list[str] = []

    def run(word: str) -> Any:
        def step(carry: Any, x: Any) -> Any:
            jax.debug.callback(lambda _: told.append(word), x[0])
            return carry, x

        jax.block_until_ready(jax.lax.scan(step, 0.0, xs))
        jax.effects_barrier()

    with jax_loops.alike():
        run("one")
        run("other")
        assert not bodies()
    assert sorted(told) == ["one"] * 3 + ["other"] * 3


def test_two_that_differ_only_in_a_function_are_two(xs: Any) -> None:
    def run(scale: float) -> Any:
        def host(x: Any) -> Any:
            return np.asarray(x) * np.float32(scale)

        def step(carry: Any, x: Any) -> Any:
            return carry, jax.pure_callback(host, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

        return jax.lax.scan(step, 0.0, xs)[1]

    with jax_loops.alike():
        assert np.array_equal(run(2.0), xs * 2)
        assert np.array_equal(run(3.0), np.asarray(xs) * np.float32(3))


def test_what_is_kept_is_bounded_and_ends(xs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from jax.extend.core import primitives

    before = primitives.scan_p.impl
    monkeypatch.setattr(jax_loops, "_KEPT", 2)
    with jax_loops.alike():
        for factor in (0.1, 0.2, 0.3):
            body(factor)(xs)
        assert len(bodies()) == 2
        with jax_loops.alike():
            pass
        assert isinstance(primitives.scan_p.impl, jax_loops.Loops)  # an inner one ends nothing
    assert primitives.scan_p.impl is before
