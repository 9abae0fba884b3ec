"""Extensions of the site: a MkDocs hook and a Griffe extension. See mkdocs.yml."""

import re
from pathlib import Path

import griffe

BENCHMARKS = Path(__file__).parent.parent / "benchmarks" / "README.md"


def on_page_markdown(markdown: str, page, **_) -> str:
    """The Markdown of a page. The page benchmarks.md is benchmarks/README.md, with links as they are from docs/."""
    if page.file.src_uri != "benchmarks.md":
        return markdown
    return BENCHMARKS.read_text(encoding="utf-8").replace("](../docs/", "](")


class Shapes(griffe.Extension):
    """Keeps two brackets in a docstring from becoming a link: "[0, 1] [B, 3, H, W]" is a range and a shape."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(r"\] \[", r"] \[", obj.docstring.value)
