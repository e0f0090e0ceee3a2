"""An article in the making: HTML parts in a row, and how many words they hold so far."""

from __future__ import annotations

from collections.abc import Sequence

from standalone.offline_model.article.voice import plain, words_in


class Page:
    """Takes escaped text only. Tags: h2 h3 p ul ol li strong em blockquote, table and its parts."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.words = 0
        self.headings: list[str] = []

    def heading(self, level: int, text: str) -> None:
        """Adds an h2 or h3."""
        self.headings.append(plain(text))
        self._add(f"<h{level}>{text}</h{level}>")

    def paragraph(self, *sentences: str) -> None:
        """Adds one paragraph of these sentences."""
        self._add(f"<p>{' '.join(sentences)}</p>")

    def quote(self, sentence: str) -> None:
        """Adds one sentence set apart."""
        self._add(f"<blockquote><p>{sentence}</p></blockquote>")

    def listing(self, tag: str, items: Sequence[str]) -> None:
        """Adds a ul or ol, one item a line."""
        self._add(f"<{tag}>\n" + "\n".join(f"<li>{item}</li>" for item in items) + f"\n</{tag}>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Adds a table; cells end in a space so that words stay apart when tags are stripped."""
        lines = [
            "<table>",
            "<thead><tr>" + "".join(f"<th>{cell} </th>" for cell in head) + "</tr></thead>",
        ]
        lines.append("<tbody>")
        lines += ["<tr>" + "".join(f"<td>{cell} </td>" for cell in row) + "</tr>" for row in rows]
        self._add("\n".join([*lines, "</tbody>", "</table>"]))

    def html(self) -> str:
        """Everything so far, one part a line."""
        return "\n".join(self._parts)

    def prose(self) -> str:
        """The paragraphs alone, as plain text."""
        return "\n\n".join(plain(part) for part in self._parts if part.startswith("<p>"))

    def _add(self, part: str) -> None:
        self._parts.append(part)
        self.words += words_in(part.replace("><", "> <"))
