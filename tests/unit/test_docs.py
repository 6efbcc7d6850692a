"""The pages are true to the tree: links resolve, commands exist, names in the code are explained."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from provery.cli.failures import exit_code
from provery.cli.main import app
from provery.client import NotFound
from provery.core.errors import ProveryError, error_classes
from provery.systems.hotshot import errors as hotshot_errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SKIPPED = {"node_modules", ".venv", ".provery", ".git", "__pycache__"}
TOP = {
    "activities", "bench", "deploy", "docs", "prover", "provery", "tests", "tools", "workers", "workflows",
}  # fmt: skip
MADE = ("bench/results/", "deploy/compose/.env")
"""Made by a command or by people, not kept in the tree."""
PASS_ON = {"provery worker", "provery bench"}
"""Hand their arguments on."""


def walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in SKIPPED or path.name.endswith("_cache"):
            continue
        if path.is_dir():
            yield from walk(path)
        else:
            yield path


PAGES = sorted(path for path in walk(ROOT) if path.suffix == ".md")
USER_PAGES = [path for path in PAGES if path.parent in (ROOT, DOCS, DOCS / "adr")]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    """The prose: no fenced or indented blocks, no inline code."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "", re.sub(r"^    .*$", "", text, flags=re.MULTILINE))


def slug(heading: str) -> str:
    """A heading's anchor, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {slug(h.strip()) for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


# -------------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(ROOT), f"{target} leaves the tree"
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_pages_name_are_there(page: Path) -> None:
    for token in re.findall(r"`([^`\s]+)`", page.read_text()):
        path = token.removeprefix("./").split("#")[0]
        if path.split("/")[0] not in TOP or "/" not in path or re.search(r"[<>*…{}$,:@=]", path):
            continue
        if path in MADE or any(path.startswith(made) for made in MADE if made.endswith("/")):
            continue
        beside = page.parent / path
        assert (ROOT / path).exists() or beside.exists(), f"{token} is not in the tree"


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    pages = {named(p).removeprefix("docs/") for p in PAGES if p.is_relative_to(DOCS)} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([^)#]+\.md)\)", index))


def test_every_picture_is_shown() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    }
    assert set((DOCS / "images").iterdir()) <= shown


# ----------------------------------------------------------------- commands


@cache
def commands() -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}

    def add(command: Any, words: str) -> None:
        found[words] = command
        for name, sub in getattr(command, "commands", {}).items():
            add(sub, f"{words} {name}")

    add(typer.main.get_command(app), "provery")
    return found


def shown_commands(page: Path) -> Iterator[str]:
    """``provery …`` in inline code, and at the start of lines of code blocks."""
    prose, fenced = [], False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            found = re.match(r" *(?:\$ )?(?:\.venv/bin/)?(provery [a-z].*)", line)
            if found:
                yield re.split(r"\s{3,}|\s+#| \|\| | \| | > ", found[1])[0]
        else:
            prose.append(line)
    for code in re.findall(r"`([^`]+)`", " ".join(prose)):
        if re.match(r"(?:\.venv/bin/)?provery [a-z]", code):
            yield code.removeprefix(".venv/bin/")


def check_command(line: str) -> None:
    words = shlex.split(line.replace("…", " "), comments=True)
    path, rest = "provery", words[1:]
    while rest and f"{path} {rest[0]}" in commands():
        path, rest = f"{path} {rest[0]}", rest[1:]
    command = commands()[path]
    if path in PASS_ON:
        return
    subcommands = getattr(command, "commands", None)
    if subcommands is not None and rest and not rest[0].startswith("-"):
        raise AssertionError(f"`{line}`: no such command: {rest[0]}")
    known = {flag for p in command.params for flag in [*p.opts, *p.secondary_opts] if flag.startswith("-")}
    known |= {"--help", "--install-completion"}
    for word in rest:
        flag = word.split("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", flag):
            assert flag in known, f"`{line}`: {path} has no {flag}"


@pytest.mark.parametrize("page", USER_PAGES, ids=named)
def test_commands_that_pages_show_exist(page: Path) -> None:
    for line in shown_commands(page):
        check_command(line)


def test_the_search_sees_commands() -> None:
    assert len(list(shown_commands(ROOT / "README.md"))) >= 6
    assert "provery doctor" in list(shown_commands(DOCS / "operations.md"))
    with pytest.raises(AssertionError, match="no such command"):
        check_command("provery frobnicate x")
    with pytest.raises(AssertionError, match="has no --nonsense"):
        check_command("provery list --nonsense")


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in USER_PAGES:
        inline = re.findall(r"`make ([a-z][a-z0-9-]*)", page.read_text())
        blocks = re.findall(r"^    make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)
        assert {*inline, *blocks} <= targets, named(page)


# ------------------------------------------------------- names in the code


def test_every_error_is_on_the_page() -> None:
    page = (DOCS / "errors.md").read_text()
    tree = page[page.index("```") : page.rindex("```")]
    for name, cls in error_classes().items():
        if not cls.__module__.startswith("provery."):
            continue  # of a test
        row = re.search(rf"^\| `{name}` \| `(\w+)` \| [^|]+ \| (\d+) \|$", page, re.MULTILINE)
        assert row, f"{name} has no row in docs/errors.md"
        assert row[1].lower() == cls.retry.value, name
        assert int(row[2]) == exit_code(cls("what")), name
        assert re.search(rf"\b{name}\b", tree), f"{name} is not in the tree of docs/errors.md"


def test_the_page_names_no_error_that_is_not_there() -> None:
    assert hotshot_errors.InvalidState.__name__ in error_classes(), "those of systems are of the tree, too"
    known = set(error_classes()) | {NotFound.__name__, ProveryError.__name__}
    rows = re.findall(r"^\| `([A-Z]\w+)` \| `", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert set(rows) <= known
    assert len(rows) == len(set(rows))


def metrics() -> set[str]:
    """Names of the metrics that our packages define, as Prometheus shows them."""
    found: set[str] = set()
    for package in ("provery", "workers", "activities"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                    continue
                kind, first = node.func.id.lower(), node.args[0]
                named_so = isinstance(first, ast.Constant) and isinstance(first.value, str)
                if kind in ("counter", "gauge", "histogram") and named_so:
                    name = str(ast.literal_eval(first))
                    found.add(f"{name.removesuffix('_total')}_total" if kind == "counter" else name)
    return found


def test_every_metric_is_on_the_page() -> None:
    assert "provery_stages_computed_total" in metrics()
    assert "queue_depth" in metrics()
    page = (DOCS / "observability.md").read_text()
    for name in metrics():
        assert re.search(rf"^\| `{name}(\{{\w+\}})?` \|", page, re.MULTILINE), (
            f"{name} is not in docs/observability.md"
        )


def test_the_page_names_no_metric_that_is_not_there() -> None:
    page = (DOCS / "observability.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9_]+)(?:\{\w+\})?` \| (?:counter|gauge|histogram) ", page, re.MULTILINE)
    assert set(rows) == metrics()


def test_every_alert_is_on_the_page() -> None:
    rules = (ROOT / "deploy/prometheus/rules.yaml").read_text()
    rows = re.findall(r"^\| `(Provery\w+)` \|", (DOCS / "observability.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(re.findall(r"alert: (\w+)", rules))


# -------------------------------------------------------------------- words


@pytest.mark.parametrize("page", USER_PAGES, ids=named)
def test_prose_keeps_to_its_width(page: Path) -> None:
    if page.name == "cli.md":
        return  # made by a program
    for number, line in enumerate(page.read_text().splitlines(), 1):
        assert len(line) <= 120 or line.startswith("|"), f"line {number} has {len(line)} characters"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_leads_out_of_the_tree(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"(?<![\w.])/(?:work|home|root|Users)/", text), "an absolute path of one machine"
    assert not re.search(r"\.\./(?:shared|reference)\b", text)


REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("registry", "yarnpkg", "com"),
        ("proxy", "golang", "org"),
    )
)  # fmt: skip


def test_no_file_names_a_package_registry() -> None:
    """Set-up uses whatever registries pip, npm and Go are configured for."""
    for path in walk(ROOT):
        if path.is_symlink() or path.stat().st_size > 8 * 2**20:
            continue
        body = path.read_bytes()
        assert not [name for name in REGISTRIES if name.encode() in body], named(path)
