"""What truth.py does not measure: form.empty of hanlp, supar and mmdet, mode.settings of mmdet and boltz; T/bin/python."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from makers import LAYERS  # noqa: E402


def made(name):
    """A training layer of makers.py at rate .3."""
    return LAYERS[name]["make"](0.3).train()


def raised(layer, shape):
    """The exception of a call on an input of no elements, by its name; empty where there is none."""
    try:
        layer(torch.ones(shape))
    except Exception as error:
        return type(error).__name__
    return ""


def main():
    """Print what is measured; 0 if it is what README.md says."""
    seen = {
        "hanlp, (0, 0, 0)": raised(made("hanlp_shared"), (0, 0, 0)),
        "supar, (0, 0, 0)": raised(made("supar_shared"), (0, 0, 0)),
        "stanza's word dropout, (0, 0, 0), a control": raised(made("stanza_word"), (0, 0, 0)),
        "mmdet, no height": raised(made("mmdet_block_1"), (0, 0, 0, 11)),
        "mmdet, no samples, a control": raised(made("mmdet_block_1"), (0, 3, 11, 11)),
    }
    torch.set_default_dtype(torch.float64)
    for name, shape in (("mmdet_block_1", (2, 3, 11, 11)), ("boltz_rows", (2, 5, 5, 3)), ("stanza_word", (2, 5, 3))):
        seen[f"{name}, float32 under default float64"] = str(made(name)(torch.ones(shape, dtype=torch.float32)).dtype)
    for name, value in seen.items():
        print(f"{name}: {value or 'no exception'}")
    wide, own = "torch.float64", "torch.float32"
    return list(seen.values()) != ["IndexError", "IndexError", "", "ZeroDivisionError", "", wide, wide, own]


if __name__ == "__main__":
    sys.exit(main())
