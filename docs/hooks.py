"""MkDocs hook: the page benchmarks.md is benchmarks/README.md, with links as they are from docs/."""

from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks" / "README.md"


def on_page_markdown(markdown: str, page, **_) -> str:
    """The Markdown of a page before it is rendered."""
    if page.file.src_uri != "benchmarks.md":
        return markdown
    return BENCHMARKS.read_text(encoding="utf-8").replace("](../docs/", "](")
