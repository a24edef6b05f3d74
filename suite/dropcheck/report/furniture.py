"""What every page of ours has: style, script, words, and the policy that lets no request leave."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from markupsafe import Markup

from dropcheck.report import sentences
from dropcheck.report.templates import environment

# verdicts, and failures by level, in a word and as a mark
WORDS: dict[str, str] = {**sentences.WORDS, "fail": "fail", "skipped": "skipped", "defect": "defect"}
GLYPHS: dict[str, str] = {**sentences.GLYPHS, "defect": sentences.GLYPHS["fail"]}


def furniture(script: str = "", *, drawings: bool = False) -> dict[str, Any]:
    """What every page of ours needs: style, script, words and glyphs, and the policy that lets no request leave.

    ``drawings``: the page holds drawings of others that bring styles of their own.
    """
    style = environment().get_template("style.css.j2").render()
    styles = "'unsafe-inline'" if drawings else _hashed(style)
    policy = f"default-src 'none'; style-src {styles}; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src {_hashed(script)}"
    return {
        "style": Markup(style),
        "script": Markup(script),
        "policy": policy,
        "word": WORDS,
        "glyph": GLYPHS,
    }


def _hashed(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
