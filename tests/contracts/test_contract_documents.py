"""The documents: every relative link leads somewhere, and the two commands that set everything up are there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def _links(text: str) -> list[str]:
    prose = _CODE.sub("", text)
    found = [one or other for one, other in _LINK.findall(prose)] + _REFERENCE.findall(prose)
    return [each for each in found if not re.match(r"[a-z][a-z0-9+.-]*:", each, re.IGNORECASE)]


def _anchors(text: str) -> set[str]:
    """The anchors that headings get on GitHub."""
    titles = re.findall(r"^#+\s+(.+?)\s*#*$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)
    return set(plain) | set(re.findall(r"(?:id|name)=\"([^\"]+)\"", text))


def test_links_are_found_at_all() -> None:
    text = '[a](x.md) ![b](<y z.png>) `[c](d.md)` [e](https://f) <img src="g.png">\n[h]: i.md\n# One & two\n'
    assert _links(text) == ["x.md", "y", "g.png", "i.md"]
    assert _anchors(text) == {"one--two"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    assert document.is_file(), f"{document.name} is missing"
    text = document.read_text(encoding="utf-8")
    for link in _links(text):
        place, _, anchor = unquote(link).partition("#")
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), f"{document.name} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target.read_text(encoding="utf-8")), f"{document.name} links to {link}"


@pytest.mark.parametrize("command", ["pip install -e '.[models]' && seewhy demo", "pip install -e '.[test]' && pytest"])
def test_the_readme_has_the_two_commands(command: str) -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines.count(command) == 1
