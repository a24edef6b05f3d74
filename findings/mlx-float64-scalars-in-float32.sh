#!/bin/sh
# MLX up to 0.32.0: a Python number beside a float64 array is rounded to float32 first. Since 0.32.1 it is not.
#
# The result has the type float64 and an error of up to 6e-8 of its value. An array of one float64 element instead of the number
# gives the exact product. MLX's dropout layers multiply what they keep by a Python number, so they had the same error.
#
# Valid input: float64 arrays on the CPU, which has float64 in MLX.
#
# Seen with mlx and mlx-cpu 0.32.0 and 0.32.1, numpy 2.4.6, Python 3.11, CPU, Linux.
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
cat >"$folder/seen.py" <<'END'
import importlib.metadata
import sys

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
scale = 1 / 0.999
values = np.random.default_rng(1).standard_normal(1000)
x = mx.array(values, dtype=mx.float64)


def error(product):
    assert product.dtype == mx.float64
    return float(np.max(np.abs(np.array(product) / (values * scale) - 1)))


by_number, by_array = error(x * scale), error(x * mx.array(np.array([scale]), dtype=mx.float64))
print(f"mlx {importlib.metadata.version('mlx')}: times a number: error {by_number:.1e}; times an array of one: {by_array:.1e}")
rounded = abs(float(np.float32(scale)) / scale - 1)
as_seen = by_array < 1e-15 and (abs(by_number - rounded) < 1e-15 if sys.argv[1] == "float32" else by_number < 1e-15)
sys.exit(0 if as_seen else 1)
END
cd "$folder"
as_seen=0
for was in 0.32.0=float32 0.32.1=float64; do
    "$folder/venv/bin/python" -m pip install --quiet mlx=="${was%=*}" mlx-cpu=="${was%=*}" numpy==2.4.6 || exit 2
    "$folder/venv/bin/python" seen.py "${was#*=}" || as_seen=1
done
if [ $as_seen = 0 ]; then echo "as seen"; else echo "the behaviour has changed"; fi
exit $as_seen
