#!/bin/sh
# efficientnet_pytorch 0.7.1 and pytorchvideo 0.1.5: drop path in bfloat16 at small rates drops nothing and doubles samples instead.
#
# Both decide by floor(keep + uniform), with the sum in the dtype of the input. bfloat16 has steps of 2^-7 above 1: keep = .999 is
# rounded up to 1, and the largest sums are rounded up to 2. So at rate .001 no sample is dropped, and one in 260 is multiplied by
# 2 where 1.001 is right. At .0021 twice as many samples are dropped as asked. Schedules of stochastic depth have such rates in
# their first blocks (.1 over 48 blocks begins 0, .0021, .0043). mmcv has the same lines, as timm had until it drew from
# bernoulli_. float32 is right, which is the control.
#
# Valid input: ones of shape (1000000, 1, 1, 1), training, on the CPU. 1000 drops are expected at rate .001 (standard deviation
# 32), 2128 at rate .1 / 47 (46).
#
# Seen with torch 2.13.0, numpy 2.4.6, Python 3.11:
#   efficientnet_pytorch bfloat16 rate 0.0010: 0 dropped, 3814 doubled
#   efficientnet_pytorch bfloat16 rate 0.0021: 3885 dropped, 0 doubled
#   efficientnet_pytorch float32 rate 0.0010: 1093 dropped, 0 doubled
#   efficientnet_pytorch float32 rate 0.0021: 2092 dropped, 0 doubled
#   and about the same of pytorchvideo
#
# Exits with 0 while this is so (numbers within 10 standard deviations), with 1 where it has changed, with 2 where the packages
# cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 setuptools wheel || exit 2
# their further needs (video, detection) have no part in this
"$folder/venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation efficientnet_pytorch==0.7.1 pytorchvideo==0.1.5 || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import importlib.util
import sys

import torch
from efficientnet_pytorch.utils import drop_connect

place = importlib.util.find_spec("pytorchvideo").submodule_search_locations[0] + "/layers/drop_path.py"
spec = importlib.util.spec_from_file_location("drop_path", place)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
N = 1_000_000


def counts(function, rate, dtype):
    """How many of N samples are dropped, and how many come out above 1.5."""
    y = function(torch.ones(N, 1, 1, 1, dtype=dtype), rate, True).float()
    return int((y == 0).sum()), int((y > 1.5).sum())


torch.manual_seed(0)
as_seen = True
for name, function in (("efficientnet_pytorch", drop_connect), ("pytorchvideo", module.drop_path)):
    for dtype in (torch.bfloat16, torch.float32):
        for rate in (0.001, 0.1 / 47):
            dropped, doubled = counts(function, rate, dtype)
            print(f"{name} {str(dtype)[6:]} rate {rate:.4f}: {dropped} dropped, {doubled} doubled")
            expected = N * rate
            near = abs(dropped - expected) < 10 * expected**0.5
            if dtype == torch.float32:
                as_seen &= near and doubled == 0
            elif rate == 0.001:
                as_seen &= dropped == 0 and abs(doubled - N / 256) < 10 * (N / 256) ** 0.5
            else:
                as_seen &= abs(dropped - N / 256) < 10 * (N / 256) ** 0.5 and doubled == 0
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
