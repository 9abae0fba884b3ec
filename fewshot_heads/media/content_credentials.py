"""Writes and reads Content Credentials, the signed manifest of the C2PA standard (https://c2pa.org).

Needs the extra `c2pa`. Without it no manifest is written, and none is read. The formats are mp4, gif, png, jpg and
webp; C2PA has no place for a manifest in webm. Nothing is fetched from the network: no time stamp, no remote manifest.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fewshot_heads._version import __version__
from fewshot_heads.errors import OutputError, first_line, printable
from fewshot_heads.media.certificates import SigningIdentity, signing_identity
from fewshot_heads.media.files import check_readable, write_error
from fewshot_heads.media.provenance import COMPOSITE, SYNTHETIC, Provenance

SWITCH = "FEWSHOT_HEADS_C2PA"  # environment variable: "off" writes no credentials
GENERATION = "fewshot_heads.generation"  # label of our assertion: model and hash
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
}
_VALID = ("Valid", "Trusted")  # states that C2PA gives; "Trusted" if the signer is on a list


@dataclass(frozen=True)
class ContentCredentials:
    """What the active manifest of a file says.

    Attributes:
        is_valid: whether the signature fits and the file is as it was signed.
        is_trusted: whether the signer is on a trust list of c2pa-python as well.
        signer: name in the certificate.
        digital_source_types: URIs of IPTC terms, of all actions.
        model: name of the model, if fewshot_heads wrote the manifest.
        model_sha256: its hash.
        ingredients: name and identifier of each file that went in; "sha256:..." from fewshot_heads.
    """

    is_valid: bool
    is_trusted: bool
    signer: str
    digital_source_types: tuple[str, ...]
    model: str | None
    model_sha256: str | None
    ingredients: tuple[tuple[str, str], ...]

    @property
    def is_synthetic(self) -> bool:
        """Whether a valid manifest says that the file is synthetic, completely or in part."""
        return self.is_valid and bool({SYNTHETIC, COMPOSITE} & set(self.digital_source_types))


def is_available() -> bool:
    """Returns whether c2pa-python is installed."""
    return find_spec("c2pa") is not None


def identity_for_writing() -> SigningIdentity | None:
    """Returns what signs outputs, or None where no credentials are to be written.

    Raises:
        BadInput: see `signing_identity`.
    """
    is_wanted = os.environ.get(SWITCH, "").lower() not in ("off", "0", "false")
    return signing_identity() if is_wanted and is_available() else None


def sign(path: Path, provenance: Provenance, title: str) -> None:
    """Puts a signed manifest into a finished file, where `identity_for_writing` gives an identity.

    A file of a format without a place for a manifest stays as it is.

    Args:
        path: the file. It changes in place, after everything else has been written to it.
        provenance: what the manifest says.
        title: name of the file, as the manifest gives it.

    Raises:
        OutputError: if C2PA or the disk refuses.
        BadInput: see `signing_identity`.
    """
    mime_type, identity = _mime_type(path), identity_for_writing()
    if mime_type is None or identity is None:
        return
    import c2pa

    context = c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS))
    info = c2pa.C2paSignerInfo(identity.algorithm, identity.certificates, identity.key, None)
    try:
        # A file without a name: nothing stays behind when the process is killed.
        with path.open("r+b") as file, tempfile.TemporaryFile(dir=path.parent) as signed:
            with c2pa.Builder(manifest(provenance, title, mime_type), context) as builder:
                builder.sign(c2pa.Signer.from_info(info), mime_type, file, signed)
            signed.seek(0)
            file.seek(0)
            shutil.copyfileobj(signed, file)
            file.truncate()
    except c2pa.C2paError as error:
        reason = first_line(error)
        raise OutputError(f"{title}: cannot be signed ({reason}); {SWITCH}=off writes it unsigned") from error
    except OSError as error:
        raise write_error(Path(title), error) from error


def manifest(provenance: Provenance, title: str, mime_type: str) -> dict[str, Any]:
    """Returns the definition of a manifest, as c2pa-python takes it.

    A head that is pasted back edits its source image, which the manifest calls the parent. Everything else is created.

    Args:
        provenance: what it says.
        title: name of the file.
        mime_type: of the file.
    """
    agent = {"name": "fewshot_heads", "version": __version__}
    ingredients = [
        {
            "label": f"ingredient{i}",
            "title": ingredient.name,
            "instance_id": f"sha256:{ingredient.sha256}",
            "relationship": "parentOf" if provenance.composite and i == 0 else "inputTo",
        }
        for i, ingredient in enumerate(provenance.ingredients)
    ]
    labels = [ingredient["label"] for ingredient in ingredients]
    made: dict[str, Any] = {"softwareAgent": agent, "digitalSourceType": provenance.digital_source_type}
    if provenance.composite and ingredients:
        opened = {"action": "c2pa.opened", "softwareAgent": agent, "parameters": {"ingredientIds": labels[:1]}}
        inputs = {"parameters": {"ingredientIds": labels[1:]}} if labels[1:] else {}
        actions = [opened, {"action": "c2pa.edited", **made, **inputs}]
    else:
        inputs = {"parameters": {"ingredientIds": labels}} if labels else {}
        actions = [{"action": "c2pa.created", **made, **inputs}]
    model = {"model": provenance.model, "model_sha256": provenance.sha256}
    return {
        "claim_generator_info": [agent],
        "title": printable(title),  # the bytes of a name may be no text, which JSON does not hold
        "format": mime_type,
        "ingredients": ingredients,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": GENERATION, "data": model},
        ],
    }


def read_credentials(path: str | Path) -> ContentCredentials | None:
    """Returns the Content Credentials of a file, or None without any that can be read.

    Call it where `is_available` only.

    Args:
        path: the file. Its content tells its format, not its name.

    Raises:
        BadInput: if the file is missing, no regular file, empty or may not be read.
    """
    import c2pa

    path = Path(path)
    check_readable(path)
    mime_type = _mime_type(path)
    if mime_type is None:
        return None
    context = c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS))
    try:
        with path.open("rb") as file, c2pa.Reader(mime_type, file, context=context) as reader:
            store = json.loads(reader.json())
        return _credentials(store)
    except (c2pa.C2paError, ValueError, KeyError, TypeError, AttributeError):  # none, or a damaged one
        return None


def _credentials(store: dict[str, Any]) -> ContentCredentials:
    """Returns what the report of c2pa-python says about the active manifest."""
    active = store["manifests"][store["active_manifest"]]
    data = {assertion["label"]: assertion.get("data") for assertion in active.get("assertions", [])}
    lists = [found["actions"] for label, found in data.items() if label.startswith("c2pa.actions")]
    types = [action["digitalSourceType"] for actions in lists for action in actions if "digitalSourceType" in action]
    signature, generation = active.get("signature_info") or {}, data.get(GENERATION) or {}
    return ContentCredentials(
        is_valid=store.get("validation_state") in _VALID,
        is_trusted=store.get("validation_state") == "Trusted",
        signer=str(signature.get("common_name") or signature.get("issuer") or "unknown"),
        digital_source_types=tuple(map(str, types)),
        model=generation.get("model"),
        model_sha256=generation.get("model_sha256"),
        ingredients=tuple(
            (str(one.get("title", "")), str(one.get("instance_id", ""))) for one in active.get("ingredients", [])
        ),
    )


def _mime_type(path: Path) -> str | None:
    """Returns the type of a file that C2PA can sign, by content, or None."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "image/webp"
    starts = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), None)
