"""The README stays short and readable, its links exist, its Python compiles, its table of models is true."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_WORDS, MAX_WORDS_IN_A_SENTENCE = 1100, 30


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def paragraphs() -> list[str]:
    """Prose outside tables and code, one paragraph, heading or list item each, without Markdown."""
    text = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^(#+|-|\d+\.) ", "\n", text, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def sentences() -> list[str]:
    # A dot within a name (out.mp4) or before a small letter (et al. in) ends no sentence.
    return [part for paragraph in paragraphs() for part in re.split(r"(?<=[.!?])\s+(?=[A-Z*`\[])", paragraph)]


def test_prose__is_short():
    assert sum(len(part.split()) for part in paragraphs()) <= MAX_WORDS


def test_sentences__are_short():
    long = [part for part in sentences() if len(part.split()) > MAX_WORDS_IN_A_SENTENCE]
    assert long == []


def test_local_links__exist():
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_python_block__compiles():
    (block,) = code_blocks("python")
    compile(block, "README.md", "exec")


@pytest.mark.parametrize("row", re.findall(r"^\| `([\w.-]+)` \|.*?\| ([\d,]+) \| `(\w+)` \|", README, re.MULTILINE))
def test_model_table__matches_the_file(row):
    name, size, digest = row
    data = (ROOT / "fewshot_heads" / "weights" / name).read_bytes()
    assert len(data) == int(size.replace(",", ""))
    assert hashlib.sha256(data).hexdigest().startswith(digest)


def test_model_table__has_every_shipped_file():
    weights = (ROOT / "fewshot_heads" / "weights").iterdir()
    shipped = {path.name for path in weights if path.suffix not in (".json", ".xml", ".bin")}  # these are of OpenVINO
    assert shipped == set(re.findall(r"^\| `([\w.-]+)` \|.*?\| [\d,]+ \|", README, re.MULTILINE))
