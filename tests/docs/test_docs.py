"""Documents are consistent: links resolve, the book lists every page, generated pages are up to date, and every key, metric and file
that they name exists."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helm"))

from chart import binary, portrait  # noqa: E402

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = [*PAGES, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "deploy").rglob("*.md")), *sorted((ROOT / "helm").rglob("*.md"))]
# renames.md is excluded because it lists names that no longer exist.
WRITTEN = [page for page in [*PAGES, ROOT / "ARCHITECTURE.md"] if page != DOCS / "renames.md" and DOCS / "reference" not in page.parents]


def name(path):
    return str(path.relative_to(ROOT))


def prose(text):
    """Text without code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text):
    """Anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=name)
def test_every_relative_link_resolves(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name(page)}: {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked.read_text()), f"{name(page)}: {target}"


def test_the_book_lists_every_page_once():
    listed = re.findall(r"\]\(([^)]+)\)", (DOCS / "SUMMARY.md").read_text())
    assert len(listed) == len(set(listed))
    assert set(listed) == {str(page.relative_to(DOCS)) for page in PAGES} - {"SUMMARY.md"}


def test_the_reference_is_up_to_date():
    check = [sys.executable, str(ROOT / "scripts" / "reference"), "--check"]
    run = subprocess.run(check, capture_output=True, text=True, env=os.environ | {"PORTRAIT_BINARY": binary()})
    assert run.returncode == 0, run.stderr


def test_every_key_that_is_named_exists():
    known = tomllib.loads(portrait("serve", "--dump-config").stdout)
    for page in WRITTEN:
        for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)(?:=[^`]*)?`", page.read_text()):
            if section in known and key not in ("rs", "md", "proto"):
                assert key in known[section], f"{name(page)}: {section}.{key}"


def test_every_metric_that_is_named_exists():
    measured = (DOCS / "reference" / "metrics.md").read_text()
    for page in WRITTEN:
        for metric in re.findall(r"`(portrait_[a-z_]+)(?:{[^`]*)?`", page.read_text()):
            assert f"`{metric}`" in measured, f"{name(page)}: {metric}"


def test_every_source_file_that_the_architecture_names_exists():
    files = [path.as_posix() for folder in ("crates", "tests", "proto", "helm") for path in (ROOT / folder).rglob("*.*")]
    for named in re.findall(r"`([\w/-]+\.(?:rs|proto|py|yaml))`", (ROOT / "ARCHITECTURE.md").read_text()):
        crate, _, rest = named.partition("/")
        ends = [f"/{named}", f"/{crate}/src/{rest}"]
        assert any(path.endswith(end) for path in files for end in ends), named


def test_every_path_that_is_named_exists():
    for page in WRITTEN:
        text = re.sub(r"\]\([^)]*\)", "]", page.read_text())
        for path in re.findall(r"(?<![\w./-])((?:deploy|examples|helm|proto|scripts|tests)/[\w./*-]*\w)", text):
            assert list(ROOT.glob(path)), f"{name(page)}: {path}"


def test_every_verb_of_make_that_is_named_exists():
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in WRITTEN:
        for verb in re.findall(r"(?:^|`| )make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert verb in verbs, f"{name(page)}: make {verb}"


def test_every_command_and_long_flag_that_is_named_exists():
    """Checks lines such as `portrait import FILE --format NAME` in shell blocks against the command's help."""
    helps = {}
    for page in WRITTEN:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.match(r"(?:target/release/)?portrait ([a-z]+)(.*)", line.split(" # ")[0])
                if not found:
                    continue
                command, rest = found.groups()
                helps.setdefault(command, portrait(command, "--help").stdout)
                assert helps[command].strip(), f"{name(page)}: portrait {command}"
                for flag in re.findall(r"(?<=\s)--[a-z-]+", rest):
                    assert re.search(rf"{flag}\b", helps[command]), f"{name(page)}: portrait {command} {flag}"


def test_decisions_are_numbered_without_gaps_and_have_three_parts():
    records = sorted(path for path in (DOCS / "adr").glob("*.md") if path.name != "index.md")
    assert [record.name[:4] for record in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    index = (DOCS / "adr" / "index.md").read_text()
    for record in records:
        text = record.read_text()
        assert re.match(rf"# {record.name[:4]}: ", text)
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], record.name
        assert record.name in index
