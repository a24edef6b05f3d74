#!/bin/sh
# torchvision 0.28.0: DropBlock2d in float16 returns nothing but zeros for batches of more than 65504 kept elements.
#
# It normalises by noise.numel() / (eps + noise.sum()), with the sum in the dtype of the input. Above 65504, the largest number of
# float16, the sum is infinite, the factor 0, and with it every output and every gradient. A batch of (100, 24, 6, 6) is enough;
# no warning, no NaN. In bfloat16 and float32 the same input keeps 99.9 % of its elements, which is the control.
#
# Valid input: ones of shape (100, 24, 6, 6), rate .001, blocks of 1, training, on the CPU.
#
# Seen with torch 2.13.0, torchvision 0.28.0, numpy 2.4.6, Python 3.11:
#   float16 (50, 24, 6, 6): 99.9% of 43200 elements are kept
#   float16 (100, 24, 6, 6): 0.0% of 86400 elements are kept
#   bfloat16 (100, 24, 6, 6): 99.9% of 86400 elements are kept
#   float32 (100, 24, 6, 6): 99.9% of 86400 elements are kept
#
# Exits with 0 while this is so, with 1 where it has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -m pip install --quiet --no-deps torchvision==0.28.0 || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import importlib.util
import re
import sys

import torch

# The package's compiled part has to match the build of torch; this file is Python alone and is run by itself, without the line
# that counts how often it is used.
place = importlib.util.find_spec("torchvision").submodule_search_locations[0] + "/ops/drop_block.py"
source = re.sub(r"from \.\.utils import _log_api_usage_once", "_log_api_usage_once = print", open(place).read())
names = {"__name__": "drop_block"}
exec(compile(source.replace("_log_api_usage_once(", "(lambda *_: None)("), place, "exec"), names)


def kept(dtype, batch):
    """The share of elements that are kept, with one seed."""
    torch.manual_seed(0)
    y = names["drop_block2d"](torch.ones(batch, 24, 6, 6, dtype=dtype), 0.001, 1, training=True)
    share = float((y != 0).double().mean())
    print(f"{str(dtype)[6:]} ({batch}, 24, 6, 6): {share:.1%} of {y.numel()} elements are kept")
    return share


below = kept(torch.float16, 50)
above = kept(torch.float16, 100)
others = [kept(dtype, 100) for dtype in (torch.bfloat16, torch.float32)]
# 86 drops are expected of 86400, standard deviation 9.3: .998 is 9 of them away
as_seen = above == 0 and below > 0.997 and all(share > 0.998 for share in others)
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
