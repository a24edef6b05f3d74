"""The documents: their commands print what they show, their links lead somewhere, and the reference leaves nothing out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "tools"))

import commands  # noqa: E402
import generate  # noqa: E402
import pictures  # noqa: E402

from dropcheck.judge import examples  # noqa: E402

PAGES = commands.pages()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
DOCS = [page for page in PAGES if page.is_relative_to(commands.DOCS)]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@cache
def text(page: Path) -> str:
    return page.read_text()


def _shown(name: str, folder: Path, long: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each command of a page that is run here: its words, what the page shows, what it printed."""
    page = ROOT / name
    place = commands.begin(page, text(page), folder)
    for block in commands.blocks(text(page)):
        if block.title:
            place.write(block)
        if block.how.startswith("not run") or (block.how == "run: long" and not long):
            continue
        for command in block.commands:
            yield command.words, command.expected, place.run(command.words).splitlines()


def _kinds(name: str) -> set[str]:
    return {block.how for block in commands.blocks(text(ROOT / name)) if block.commands}


@pytest.mark.workers("torch")
@pytest.mark.parametrize("name", [name for name in NAMES if "" in _kinds(name)])
def test_commands_print_what_the_page_shows(name: str, tmp_path: Path) -> None:
    for words, expected, printed in _shown(name, tmp_path, long=False):
        assert commands.same(expected, printed), f"$ {words}\n" + "\n".join(printed)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if "run: long" in _kinds(name)])
def test_long_commands_print_what_the_page_shows(name: str, tmp_path: Path) -> None:
    for words, expected, printed in _shown(name, tmp_path, long=True):
        assert commands.same(expected, printed), f"$ {words}\n" + "\n".join(printed)


def test_a_changed_output_is_seen() -> None:
    assert commands.same(["a 12 s", "...", "z"], ["a 7 s", "b", "c", "z"])
    assert not commands.same(["a", "...", "z"], ["a", "b", "y"])
    assert not commands.same(["31 of 34 checks pass"], ["30 of 34 checks pass"])


def _anchors(markdown: str) -> set[str]:
    """The anchors of a page, as MkDocs and forges make them of headings."""
    headings = re.findall(r"^#+ (.+?)\s*$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in plain}


def _missing(page: Path, markdown: str, generated: dict[str, str]) -> list[str]:
    wrong = []
    for link in LINK.findall(re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        place = (page.parent / path).resolve() if path else page
        below = place.relative_to(commands.DOCS).as_posix() if place.is_relative_to(commands.DOCS) else ""
        found = (
            markdown
            if place == page
            else generated.get(below) or (place.is_file() and place.read_text(errors="ignore"))
        )
        if not found and not place.is_dir():
            wrong.append(f"{page.relative_to(ROOT)}: {link}")
        elif anchor and found and anchor not in _anchors(found):
            wrong.append(f"{page.relative_to(ROOT)}: {link} has no such heading")
    return wrong


def test_links_lead_to_pages_and_headings_that_exist() -> None:
    made = generate.pages()
    pages = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    wrong = [one for page in pages for one in _missing(page, text(page), made)]
    wrong += [one for name, markdown in made.items() for one in _missing(commands.DOCS / name, markdown, made)]
    assert wrong == []


def test_links_of_the_readme_work_in_the_repository() -> None:
    generated = {(commands.DOCS / name).resolve() for name in generate.names()}
    for link in LINK.findall(text(ROOT / "README.md")):
        if not re.match(r"[a-z]+:", link):
            assert (ROOT / link.partition("#")[0]).resolve() not in generated, f"{link} exists in the site only"


def test_the_readme_is_short() -> None:
    assert len(text(ROOT / "README.md").splitlines()) <= 150


def test_every_check_has_a_page_with_a_reason() -> None:
    checks = [check.name for check in generate.CHECKS]
    told = {one.stem for one in Path(examples.__file__).parent.glob("[a-z]*_*.py")}
    assert told == {name.replace(".", "_").replace("-", "_") for name in checks}
    made = generate.pages()
    for name in checks:
        page = made[f"reference/checks/{name}.md"]
        assert all(
            f"\n## {heading}\n" in page for heading in ("Why it matters", "What to do when it fails", "How it decides")
        )
        assert f"({name}.md)" in made["reference/checks/index.md"]


def test_every_page_is_in_the_navigation() -> None:
    menu = text(ROOT / "mkdocs.yml")
    left_out = [str(p.relative_to(commands.DOCS)) for p in DOCS if str(p.relative_to(commands.DOCS)) not in menu]
    assert left_out == []


def _commands() -> dict[str, Any]:
    import typer

    from dropcheck.cli import app

    root: Any = typer.main.get_command(app)
    return dict(root.commands)


def test_every_command_and_option_is_in_the_reference() -> None:
    page = generate.cli_page()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for name, command in _commands().items():
        for param in command.params:
            if param.param_type_name == "option" and not getattr(param, "hidden", False):
                missing = [
                    word
                    for word in param.opts
                    if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", sections[name])
                ]
                assert not missing, f"{name}: {missing}"


def test_written_pages_name_only_options_that_exist() -> None:
    known = {word for one in _commands().values() for p in one.params for word in p.opts}
    known |= {"--help", "--version", "--install-completion", "--show-completion"}
    foreign = re.compile(r"--dropcheck|--no-deps|--upgrade|--strict-markers")
    for page in PAGES:
        for word in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text(page)):
            assert word in known or foreign.match(word), f"{page.relative_to(ROOT)}: {word}"


def _not_run(language: str) -> list[tuple[str, commands.Block]]:
    found = [(str(page.relative_to(ROOT)), block) for page in PAGES for block in commands.blocks(text(page))]
    return [(f"{name}:{block.line}", block) for name, block in found if block.language == language]


def test_commands_that_are_only_shown_are_ones_that_the_program_takes() -> None:
    known, seen = _commands(), 0
    for place, block in _not_run(""):
        whole = "\n".join(block.lines).replace("\\\n", " ")
        for line in re.findall(r"^dropcheck (.+)$", whole, re.MULTILINE):
            words = shlex.split(re.sub(r"\.\.\.|[\[\]]", "", line), comments=True)
            seen += 1
            try:
                known[words[0]].make_context(words[0], words[1:])
            except Exception as error:
                raise AssertionError(f"{place}: dropcheck {line}: {error}") from error
    assert seen > 50


def test_code_and_files_that_are_only_shown_can_be_read() -> None:
    import yaml

    from dropcheck.gate import decoding

    for place, block in _not_run("python"):
        compile("\n".join(block.lines), place, "exec")
    for _, block in _not_run("yaml"):
        assert yaml.safe_load("\n".join(block.lines))
    for place, block in _not_run("toml"):
        whole = "\n".join(block.lines)
        table = tomllib.loads(whole)
        assert "version" not in table or decoding.decode(whole, place).policy.version == 1


def _rows(page: str, heading: str) -> list[str]:
    """The names in the first column of the tables below a heading."""
    part = re.split(rf"^#+ {re.escape(heading)}$", page, flags=re.MULTILINE)[1]
    part = re.split(r"^#+ ", part, flags=re.MULTILINE)[0]
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("|")]
    return [word for cell in cells for word in re.findall(r"`([\w-]+)`", cell)]


def test_every_policy_key_is_in_the_reference() -> None:
    from dropcheck.gate import policy

    page = text(commands.DOCS / "reference" / "policy.md")
    for heading, record in (("Top level", policy.Policy), ("`[speed]`", policy.Speed), ("`[[waiver]]`", policy.Waiver)):
        assert sorted(_rows(page, heading)) == sorted(record.__struct_fields__)
    assert sorted(_rows(page, "Presets"))[:3] == sorted(policy.PRESETS)


def test_every_field_of_a_result_is_in_the_reference() -> None:
    from dropcheck.results import audit

    page = text(commands.DOCS / "reference" / "result-schema.md")
    for heading, record in (("Result", audit.Result), ("Target", audit.TargetResult), ("Finding", audit.Finding)):
        fields = [one.encode_name for one in msgspec.structs.fields(record)]
        assert sorted(_rows(page, heading)) == sorted(fields)
    for record in (audit.Timing, audit.Request):
        assert all(f"`{name}`" in page for name in record.__struct_fields__)


def test_every_field_of_a_contract_is_in_the_reference() -> None:
    from dropcheck.contract.adapter import Implementation
    from dropcheck.contract.promise import Contract

    page = text(commands.DOCS / "reference" / "contract.md")
    assert sorted(_rows(page, "Contract")) == sorted(Contract.__dataclass_fields__)
    assert sorted(_rows(page, "Implementation")) == sorted(Implementation.__dataclass_fields__)


def test_every_instrument_is_in_the_table_of_its_page() -> None:
    from spatial_dropouts import instruments

    part = text(commands.DOCS / "how-to" / "model.md").split("## Dropout inside of framework layers")[1]
    rows = [line.split("|")[1:3] for line in part.splitlines() if line.startswith("| `")]
    named = [
        layer + site
        for layers, sites in rows
        for layer in re.findall(r"`([\w.]+)`", layers)
        for site in re.findall(r"`(#[\w.-]+)`", sites)
    ]
    assert sorted(named) == sorted(instruments.REGISTER)


def test_every_public_name_is_in_the_reference() -> None:
    import dropcheck

    page = text(commands.DOCS / "reference" / "python-api.md")
    for name in dropcheck.__all__:
        assert re.search(rf"\b{name}\b", page), name


def test_every_option_of_the_library_is_in_the_reference() -> None:
    from dropcheck.plan.python_options import OF_AUDIT, OF_BENCH, AuditOptions

    page = text(commands.DOCS / "reference" / "python-api.md")
    for heading, options in (("Options of an audit", OF_AUDIT), ("Options of a benchmark", OF_BENCH)):
        assert sorted(_rows(page, heading)) == sorted(options)
    assert all(f"`{name}`" in page for name in AuditOptions.__annotations__)


def test_the_picture_is_that_of_its_program() -> None:
    assert pictures.PLACE.read_text() == pictures.draw()


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="make docs installs it")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(https?:[^"]+)', page.read_text())
        assert loaded == [], f"{page}: {loaded}"


# what an answer said before it was plain, and turns that hide who does what
BANNED = re.compile(
    r"\b(accus\w+|obey\w*|mend\w*|gone on with|has not|have not|that has not|planted defects?|tell apart|claims?)\b",
    re.I,
)
WRITTEN = [*PAGES, *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"))]


def _prose(markdown: str) -> Iterator[str]:
    """The sentences of a page, without code, tables of names, headings and links."""
    plain = re.sub(r"```.*?```|<!--.*?-->", "", markdown, flags=re.DOTALL)
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    for block in re.split(r"\n\s*\n|\n(?=\s*[*|#-]|\s*\d+\.)", plain):
        if not block.lstrip().startswith("#"):
            for cell in block.split("|"):
                yield from re.split(r"(?<=[.!?:;])\s+", " ".join(cell.split()))


@pytest.mark.parametrize("page", WRITTEN, ids=[str(page.relative_to(ROOT)) for page in WRITTEN])
def test_sentences_are_short_and_plain(page: Path) -> None:
    for sentence in _prose(text(page)):
        assert len(sentence.split()) <= 25, f"{len(sentence.split())} words: {sentence}"
        assert not BANNED.search(re.sub(r"`[^`]*`", "", sentence)), sentence
