"""Writes and reads the mark "this is synthetic" in the metadata of files.

The mark is IPTC's `DigitalSourceType`, with the tool, its version, the model and the hash of the model:

| file | place of the mark |
|---|---|
| png, jpg, webp | the XMP packet of the image |
| mp4 | an XMP packet in a top-level `uuid` box, and a `comment` tag in plain English |
| webm | container tags, which include `comment` |
| gif | an XMP application extension |
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import av

from fewshot_heads._version import __version__
from fewshot_heads.errors import BadInput, OutputError, printable
from fewshot_heads.media.decoding import open_container
from fewshot_heads.media.files import check_readable

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"

NAMESPACES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "fewshot_heads": "urn:fewshot-heads:provenance:1.0/",
}
FIELDS = {  # our name -> namespace and name of the XMP property
    "digital_source_type": ("Iptc4xmpExt", "DigitalSourceType"),
    "tool": ("xmp", "CreatorTool"),
    "model": ("fewshot_heads", "Model"),
    "model_sha256": ("fewshot_heads", "ModelSHA256"),
}
XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
# A GIF reader without XMP reads the packet as data blocks. From any byte, this trailer leads to the end of the block.
GIF_TRAILER = bytes([1, *range(255, -1, -1), 0])

_MAX_PACKET_BYTES = 2**24  # of an XMP packet of any tool; previews take a few hundred kB


@dataclass(frozen=True)
class Ingredient:
    """A file that an output was made from.

    Attributes:
        name: of the file, without its folder.
        sha256: hash of its bytes, hexadecimal. For a folder, of the bytes of its files, in the order of their names.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, path: str | Path) -> Ingredient:
        """Returns a file or a folder of files as an ingredient. Raises BadInput if one cannot be read."""
        path, digest = Path(path), hashlib.sha256()
        try:
            files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
            for name in files:
                with name.open("rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
        except OSError as error:
            reason = f"cannot be read for its hash ({error.strerror})"
            raise BadInput(
                f"{error.filename or path}: {reason}; keep inputs in place until the command ends"
            ) from error
        return cls(printable(path.name), digest.hexdigest())


@dataclass(frozen=True)
class Provenance:
    """The mark of an output file.

    Attributes:
        model: name of the model.
        sha256: hash of the model's weights, hexadecimal.
        composite: whether real pixels surround the synthetic head.
        ingredients: the files that it was made from, the source image first. Only Content Credentials hold them.

    Raises:
        BadInput: if `model` or `sha256` has control characters, which no reader would accept.
    """

    model: str
    sha256: str
    composite: bool
    ingredients: tuple[Ingredient, ...] = ()

    def __post_init__(self) -> None:
        if not (self.model.isprintable() and self.sha256.isprintable()):
            raise BadInput(f"model name {self.model!r:.40}: got control characters, expected printable ones")

    def made_from(self, paths: Iterable[str | Path]) -> Provenance:
        """Returns the same mark with the files that the output is made from, the source image first.

        Args:
            paths: such as pictures and the driver. Each is read once, for its hash.

        Raises:
            BadInput: if one cannot be read.
        """
        return replace(self, ingredients=tuple(map(Ingredient.of, paths)))

    @property
    def digital_source_type(self) -> str:
        """URI of the IPTC term."""
        return COMPOSITE if self.composite else SYNTHETIC

    def fields(self) -> dict[str, str]:
        """Returns the mark as `read_mark` does."""
        return {
            "digital_source_type": self.digital_source_type,
            "tool": f"fewshot_heads {__version__}",
            "model": self.model,
            "model_sha256": self.sha256,
        }

    def tags(self) -> dict[str, str]:
        """Returns the mark as container tags. `comment` is the sentence that a player shows."""
        fields = self.fields()
        kind = "partly synthetic: the head was" if self.composite else "synthetic:"
        comment = (
            f"This is {kind} generated by {fields['tool']}, model {self.model} (sha256 {self.sha256}). "
            f"DigitalSourceType: {self.digital_source_type}"
        )
        return {"comment": comment, **fields}

    def xmp(self) -> bytes:
        """Returns the mark as one XMP packet."""
        spaces = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in NAMESPACES.items())
        values = "".join(f" {':'.join(FIELDS[name])}={quoteattr(value)}" for name, value in self.fields().items())
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about=""{spaces}{values}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
        ).encode()


UNNAMED = Provenance("unnamed", "unknown", composite=True)  # the mark if no model is named


def mark(path: str | Path, provenance: Provenance) -> None:
    """Appends the XMP packet to a finished mp4, mov or gif.

    The other formats take the mark while they are written.

    Args:
        path: the file.
        provenance: the mark.

    Raises:
        OutputError: if the file is of another kind.
        OSError: if the disk refuses.
    """
    path, packet = Path(path), provenance.xmp()
    with path.open("r+b") as file:
        head = file.read(12)
        file.seek(0, 2)
        if head[4:8] == b"ftyp":
            file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", XMP_BOX) + packet)
        elif head[:6] == b"GIF89a":
            file.seek(-1, 2)  # overwrites the last byte, 0x3B, and writes 0x3B again
            file.write(b"\x21\xff\x0bXMP DataXMP" + packet + GIF_TRAILER + b"\x3b")
        else:
            raise OutputError(f"{path}: only a finished mp4, mov or gif can be marked; write it with the mark instead")


def read_mark(path: str | Path) -> dict[str, str] | None:
    """Returns the mark of a file, or None without a mark.

    Args:
        path: the file.

    Returns:
        The fields digital_source_type, tool, model and model_sha256, as far as the file has them.

    Raises:
        BadInput: if the file is missing, no regular file, empty or may not be read.
    """
    path = Path(path)
    check_readable(path)
    fields = _from_xmp(_packet(path)) or _from_tags(path)
    return fields if "digital_source_type" in fields else None


def _packet(path: Path) -> bytes:
    """Returns the XMP packet of a file, or b"" without one.

    The packet is found by scanning, which the XMP standard allows for files of any format.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(b"<x:xmpmeta")
        end = data.find(b"</x:xmpmeta>", start)
        is_packet = 0 <= start < end <= start + _MAX_PACKET_BYTES
        return bytes(data[start : end + len(b"</x:xmpmeta>")]) if is_packet else b""


def _from_xmp(packet: bytes) -> dict[str, str]:
    """Returns the fields in an XMP packet."""
    try:
        nodes = list(ElementTree.fromstring(packet).iter())
    except ElementTree.ParseError:
        return {}
    values = {
        node.tag: node.text for node in nodes if node.text
    }  # other tools write properties as elements, ours as attributes
    for node in nodes:
        values.update(node.attrib)
    names = {f"{{{NAMESPACES[prefix]}}}{name}": field for field, (prefix, name) in FIELDS.items()}
    return {names[key]: value for key, value in values.items() if key in names and value is not None}


def _from_tags(path: Path) -> dict[str, str]:
    """Returns the fields in the tags of a container."""
    try:
        with open_container(path) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
    except (av.FFmpegError, BadInput):
        return {}
    return {field: tags[field] for field in FIELDS if field in tags}
