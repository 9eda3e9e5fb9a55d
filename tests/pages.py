"""HTML pages as tests look at them: takes a document, gives its tags, texts, tables and policy; and what no report may
hold."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser

__all__ = ["EVIL", "Read", "check_page"]

#: names that mean to be more than text
EVIL = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(2)</script>',
    "&lt;b&gt; {{ 7 * 7 }} {% raw %}",
    "right\u202eto left\u200f\u2066",
    "two\nlines\tand a \x00 NUL \x1b[31m",
    "' onmouseover='alert(3)' style='position:fixed",
    "data:text/html,<script>alert(4)</script>",
)

_VOID = {"meta", "link", "img", "br", "hr", "input"}


class Read(HTMLParser):
    """A document: every start tag with its attributes, whether all that is opened is closed, the text of tags."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that opens."""
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """A tag that closes."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What stands between tags."""
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside == "style":
            self.styles.append(data)
        else:
            self.words.append(data)
            if "td" in self._open or "th" in self._open:
                self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All words of the page."""
        return "".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of a name."""
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def policy(self) -> dict[str, list[str]]:
        """What the page allows itself."""
        (meta,) = [each for each in self.all("meta") if each.get("http-equiv")]
        assert meta["http-equiv"] == "Content-Security-Policy"
        parts = [part.split() for part in (meta["content"] or "").split(";")]
        return {name: allowed for name, *allowed in parts}


def check_page(html: str) -> Read:
    """Hold a page against all that every report promises."""
    page = Read(html)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    # the policy: nothing from outside, and no other style or script than those whose hashes stand there
    hashed = {}
    for name, parts in (("style-src", page.styles), ("script-src", page.scripts)):
        (text,) = parts
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashed[name] = [f"'sha256-{digest}'"]
    assert page.policy == {
        "default-src": ["'none'"], "img-src": ["data:"], "base-uri": ["'none'"], "form-action": ["'none'"], **hashed,
    }  # fmt: skip
    names = [name for name, _ in page.tags]
    assert names.index("meta") < names.index("style")
    assert html.index("Content-Security-Policy") < html.index("<style>")
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert not {"style", "srcset", "ping", "action", "formaction", "background"} & set(attrs), (tag, attrs)
        for name in ("src", "href"):
            assert re.match(r"data:image/|#|data:,$", attrs.get(name) or "#"), (tag, attrs)
    assert not {"iframe", "object", "embed", "form", "base", "svg", "video", "audio"} & set(names)
    assert not re.search(r"https?:", page.scripts[0] + page.styles[0])
    assert "@import" not in page.styles[0]
    assert "url(" not in page.styles[0]
    # for whoever does not see it, or has no mouse
    levels = [int(name[1]) for name in names if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    assert {"header", "nav", "main", "footer"} <= set(names)
    assert all(each.get("alt") for each in page.all("img"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for _, attrs in page.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attrs.get(name) is None or attrs[name] in ids
        if (attrs.get("href") or "").startswith("#"):
            assert (attrs["href"] or "")[1:] in ids, attrs
    # what would turn a line around, or break it, is written out
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f]", page.text)
    return page
