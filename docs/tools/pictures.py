"""The picture of docs/explanation/spatial-dropout.md: ``python docs/tools/pictures.py`` writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PLACE = Path(__file__).resolve().parents[1] / "images" / "masks.svg"
SAMPLES, STEPS, CHANNELS, RATE, SEED = 2, 6, 8, 0.3, 27
CELL, GAP, LEFT, TOP = 18, 3, 110, 46

# name, the axes that have decisions of their own as a noise shape
MASKS = (
    ("Dropout", (SAMPLES, STEPS, CHANNELS)),
    ("SpatialDropout1D", (SAMPLES, 1, CHANNELS)),
    ("whole samples (drop path)", (SAMPLES, 1, 1)),
)
STYLE = (
    "text{font:13px sans-serif;fill:#333}.kept{fill:#3f51b5}.dropped{fill:none;stroke:#9fa8da;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.kept{fill:#7986cb}.dropped{stroke:#5c6bc0}}"
)


def draw() -> str:
    """An SVG of one mask of each kind: samples beside each other, channels across, time steps down."""
    rng = np.random.default_rng(SEED)
    step = CELL + GAP
    block, height = CHANNELS * step, STEPS * step
    width = LEFT + SAMPLES * (block + 30)
    parts: list[str] = []
    for number, (name, shape) in enumerate(MASKS):
        top = number * (height + TOP + 16) + TOP
        noise = " x ".join(map(str, shape))
        parts.append(f'<text x="0" y="{top - 26}">{name}: noise shape ({noise}), {np.prod(shape)} decisions</text>')
        kept = np.broadcast_to(rng.random(shape) >= RATE, (SAMPLES, STEPS, CHANNELS))
        parts.append(
            f'<text x="0" y="{top + 13}">time 0</text><text x="0" y="{top + height - 6}">time {STEPS - 1}</text>'
        )
        for sample in range(SAMPLES):
            left = LEFT + sample * (block + 30)
            parts.append(f'<text x="{left}" y="{top - 7}">sample {sample}, channels 0 to {CHANNELS - 1}</text>')
            for time in range(STEPS):
                for channel in range(CHANNELS):
                    word = "kept" if kept[sample, time, channel] else "dropped"
                    place = f'x="{left + channel * step}" y="{top + time * step}"'
                    parts.append(f'<rect class="{word}" {place} width="{CELL}" height="{CELL}" rx="3"/>')
    total = len(MASKS) * (height + TOP + 16)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" role="img">'
    title = "<title>Masks of Dropout, SpatialDropout1D and drop path: filled squares are kept</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


if __name__ == "__main__":
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(draw())
