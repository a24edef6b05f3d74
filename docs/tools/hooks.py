"""Hooks of MkDocs: generated pages join the site, and links into the repository become words."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import generate
from mkdocs.structure.files import File, Files

_OUTSIDE = re.compile(r"(!?)\[([^\]]+)\]\(((?:\.\./)+)([^)\s]+)\)")


def on_config(config: Any, **_: Any) -> Any:
    """Below Reference: the checks of each family, in the order of the program."""
    reference = next(part["Reference"] for part in config["nav"] if "Reference" in part)
    checks = next(part["Checks"] for part in reference if isinstance(part, dict) and "Checks" in part)
    families: dict[str, list[str]] = {}
    for name in (check.name for check in generate.CHECKS):
        families.setdefault(name.split(".")[0], []).append(f"reference/checks/{name}.md")
    checks += [{family: families[family]} for family in generate.FAMILIES]
    return config


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages that are made of the program."""
    for name, text in generate.pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A link to a file outside docs/ works in the repository; the site has no such file, so it names the path."""
    depth = page.file.src_uri.count("/")

    def words(match: re.Match[str]) -> str:
        if match[3].count("../") <= depth:
            return match[0]
        text, place = match[2].strip("`"), match[4]
        return f"`{place}`" if text == place else f"{match[2]} (`{place}`)"

    return _OUTSIDE.sub(words, markdown)
