"""Write the outputs of the documents anew: ``python docs/tools/refresh.py [PAGE ...]``.

``--cheap`` leaves out what is marked as long. What a page cuts in several places is shown, and is to be cut by hand.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import commands


def refresh(page: Path, long: bool) -> list[str]:
    """Run the commands of a page, write it, and return what must be looked at."""
    text = page.read_text()
    lines = text.splitlines()
    changes: list[tuple[commands.Command, list[str]]] = []
    look: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dropcheck-docs-") as made:
        folder = commands.begin(page, text, Path(made))
        for block in commands.blocks(text):
            if block.title:
                folder.write(block)
            if block.how.startswith("not run") or (not long and block.how == "run: long"):
                continue
            for command in block.commands:
                printed = folder.run(command.words).splitlines()
                if commands.same(command.expected, printed):
                    continue
                new = commands.renewed(command.expected, printed)
                if new is None:
                    look.append(f"{page}:{command.first}: $ {command.words}\n" + "\n".join(printed))
                else:
                    changes.append((command, new))
    for command, new in reversed(changes):
        lines[command.first : command.last] = new
        print(f"{page}:{command.first}: {command.words}")
    if changes:
        page.write_text("\n".join(lines) + "\n")
    return look


def main() -> int:
    words = sys.argv[1:]
    long = "--cheap" not in words
    named = [Path(word).resolve() for word in words if not word.startswith("--")]
    look = [one for page in named or commands.pages() for one in refresh(page, long)]
    print("\n\n".join(look))
    return 1 if look else 0


if __name__ == "__main__":
    sys.exit(main())
