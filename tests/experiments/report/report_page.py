"""What a browser would see of a report, as a test reads it."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "br", "wbr", "path", "use"}
SHOWN = ("table", "svg", "img")


@dataclass
class Figure:
    """A <figure>: the words of its plot, its plot's texts, its table's rows, its pictures' notes,
    and the queries under it.
    """

    title: str = ""
    words: str = ""
    drawn: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """Elements with their attributes, texts, figures, and what is shown outside any figure."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: list[Figure] = []
        self.outside: list[str] = []
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "figure":
            self.figures.append(Figure())
        elif tag in SHOWN and "figure" not in self._open:
            self.outside.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        if "figure" in self._open:
            self._start_in_figure(self.figures[-1], tag, dict(attrs))

    def _start_in_figure(self, figure: Figure, tag: str, attributes: dict[str, str | None]) -> None:
        label = attributes.get("aria-label") or ""
        if attributes.get("role") == "img":
            figure.words = label
        elif attributes.get("role") == "region":
            figure.title = figure.title or label
        elif tag == "tr":
            figure.rows.append([])
        elif tag in ("td", "th"):
            figure.rows[-1].append("")
        elif tag == "text":
            figure.drawn.append("")
        elif tag == "code" and self._open[-2] == "pre":
            figure.queries.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "wbr" and self.texts[-1].endswith("_"):
            self.texts[-1] += data
        elif "style" not in self._open:
            self.texts.append(data)
        if "figure" in self._open:
            self._text_in_figure(self.figures[-1], data)

    def _text_in_figure(self, figure: Figure, data: str) -> None:
        if self._open[-2:] == ["pre", "code"]:
            figure.queries[-1] += data
        elif "tr" in self._open and figure.rows[-1]:
            broken = "" if self.elements[-1][0] == "wbr" else " "
            figure.rows[-1][-1] = re.sub(r"\s+", " ", figure.rows[-1][-1] + broken + data).strip()
        elif self._open[-1] == "text":
            figure.drawn[-1] += data
        elif self._open[-1] == "figcaption":
            figure.title += data
        elif self._open[-1] == "span":
            figure.notes.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def figure(self, title: str) -> Figure:
        """The only figure of the title."""
        (found,) = (figure for figure in self.figures if figure.title == title)
        return found

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())
