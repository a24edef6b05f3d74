#!/bin/sh
# Keras up to 3.13.2: dropout at rate 1 gives NaN for every gradient, while the output is right. Since 3.14.0 it is 0.
#
# At rate 1 everything is dropped, so the output is 0 and does not depend on the input: its gradient is 0. Keras 3.13.2 divides by
# 1 - rate before it selects, so the gradient of what is dropped is 0 times infinity. The output does not show it.
#
# Valid input: ones of shape (4, 3, 8), training=True, eager, SpatialDropout1D(1.0) and Dropout(1.0).
#
# Seen with keras 3.13.2 and 3.14.0, jax 0.10.2, numpy 2.4.6, Python 3.11, CPU.
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
cat >"$folder/seen.py" <<'END'
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np

found = []
for kind in ("SpatialDropout1D", "Dropout"):
    layer = getattr(keras.layers, kind)(1.0)
    x = jnp.ones((4, 3, 8))
    y = layer(x, training=True)
    gradient = np.asarray(jax.grad(lambda x, layer=layer: layer(x, training=True).sum())(x))
    told = "NaN" if np.isnan(gradient).all() else "0" if (gradient == 0).all() else "something else"
    print(f"keras {keras.__version__}: {kind}(1.0) gives {'zeros' if (np.asarray(y) == 0).all() else 'no zeros'}, its gradient is {told}")
    found.append((bool((np.asarray(y) == 0).all()), told))
sys.exit(0 if found == [(True, sys.argv[1])] * 2 else 1)
END
cd "$folder"
as_seen=0
for was in 3.13.2=NaN 3.14.0=0; do
    "$folder/venv/bin/python" -m pip install --quiet keras=="${was%=*}" jax==0.10.2 numpy==2.4.6 || exit 2
    KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$folder/venv/bin/python" seen.py "${was#*=}" || as_seen=1
done
if [ $as_seen = 0 ]; then echo "as seen"; else echo "the behaviour has changed"; fi
exit $as_seen
