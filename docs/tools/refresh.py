"""Write the outputs of the documents anew. What a page cuts in several places is shown, and is to be cut by hand."""

from __future__ import annotations

import argparse
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
    parser = argparse.ArgumentParser(prog="python docs/tools/refresh.py", description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="pages to write anew; all without one")
    parser.add_argument("--cheap", action="store_true", help="leave out the commands that are marked as long")
    given = parser.parse_args()
    for page in given.pages:
        if not page.is_file():
            parser.error(f"there is no page {page}")
    named = [page.resolve() for page in given.pages] or commands.pages()
    look = [one for page in named for one in refresh(page, not given.cheap)]
    print("\n\n".join(look))
    return 1 if look else 0


if __name__ == "__main__":
    sys.exit(main())
