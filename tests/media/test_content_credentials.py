"""Outputs carry a signed manifest that C2PA's own reader accepts, where c2pa-python is installed."""

from __future__ import annotations

import hashlib
import json
import stat
import sys

import numpy as np
import pytest

from fewshot_heads import animate, edit, fine_tune, live
from fewshot_heads.errors import BadInput
from fewshot_heads.media import certificates, content_credentials
from fewshot_heads.media.certificates import CERTIFICATE_VARIABLE, KEY_VARIABLE, settings_folder, signing_identity
from fewshot_heads.media.content_credentials import SWITCH, manifest, read_credentials
from fewshot_heads.media.images import write_image
from fewshot_heads.media.provenance import COMPOSITE, SYNTHETIC, Ingredient, Provenance, read_mark
from fewshot_heads.media.verification import verify
from fewshot_heads.media.video_writer import VideoWriter

c2pa = pytest.importorskip("c2pa")

HASH = "0123456789abcdef" * 4
SIGNED = ["png", "jpg", "webp", "mp4", "gif"]


@pytest.fixture
def own_settings(tmp_path, monkeypatch):
    """An installation that has made no key yet."""
    for variable in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "settings"))


@pytest.fixture
def provenance(tmp_path) -> Provenance:
    (tmp_path / "source").mkdir()
    for name in ("mona.jpg", "driver.mp4"):
        (tmp_path / "source" / name).write_bytes(name.encode())
    return Provenance("real & time", HASH, True).made_from(sorted((tmp_path / "source").iterdir(), reverse=True))


def write(path, mark):
    frame = np.full((64, 64, 3), 90, np.uint8)
    if path.suffix in (".png", ".jpg", ".webp"):
        write_image(path, frame, mark, overwrite=True)
        return
    with VideoWriter(path, 25, mark=mark, overwrite=True) as out:
        out.add(frame)


@pytest.mark.parametrize("kind", SIGNED)
def test_credentials__name_model_kind_and_ingredients(tmp_path, provenance, kind):
    write(tmp_path / f"out.{kind}", provenance)
    found = read_credentials(tmp_path / f"out.{kind}")
    assert found is not None and found.is_valid and not found.is_trusted and found.is_synthetic
    assert found.digital_source_types == (COMPOSITE,)
    assert (found.model, found.model_sha256) == ("real & time", HASH)
    digests = [(name, f"sha256:{hashlib.sha256(name.encode()).hexdigest()}") for name in ("mona.jpg", "driver.mp4")]
    assert found.ingredients == tuple(digests)
    assert read_mark(tmp_path / f"out.{kind}") is not None  # the metadata stay
    assert {path.name for path in tmp_path.iterdir()} == {f"out.{kind}", "source"}  # and nothing else


def test_credentials__are_read_by_content_not_by_name(tmp_path, provenance):
    write(tmp_path / "out.mp4", provenance)
    renamed = (tmp_path / "out.mp4").rename(tmp_path / "holiday.jpg")
    assert read_credentials(renamed).is_valid


def test_a_changed_file__is_not_valid(tmp_path, provenance):
    write(tmp_path / "out.png", provenance)
    data = bytearray((tmp_path / "out.png").read_bytes())
    data[-30] ^= 1
    (tmp_path / "out.png").write_bytes(data)
    found = read_credentials(tmp_path / "out.png")
    assert found is not None and not found.is_valid and not found.is_synthetic


def test_webm_and_text__have_no_credentials(tmp_path, provenance):
    write(tmp_path / "out.webm", provenance)
    (tmp_path / "notes.txt").write_text("nothing here")
    assert read_credentials(tmp_path / "out.webm") is None
    assert read_credentials(tmp_path / "notes.txt") is None


def test_a_pasted_head__edits_its_parent_and_anything_else_is_created():
    files = (Ingredient("mona.jpg", HASH), Ingredient("driver.mp4", HASH))
    edited = manifest(Provenance("m", HASH, True, files), "out.mp4", "video/mp4")
    created = manifest(Provenance("m", HASH, False, files), "out.mp4", "video/mp4")
    opened, change = edited["assertions"][0]["data"]["actions"]
    assert opened["action"] == "c2pa.opened" and opened["parameters"]["ingredientIds"] == ["ingredient0"]
    assert (change["action"], change["digitalSourceType"]) == ("c2pa.edited", COMPOSITE)
    (made,) = created["assertions"][0]["data"]["actions"]
    assert (made["action"], made["digitalSourceType"]) == ("c2pa.created", SYNTHETIC)
    assert [one["relationship"] for one in edited["ingredients"]] == ["parentOf", "inputTo"]
    assert [one["relationship"] for one in created["ingredients"]] == ["inputTo", "inputTo"]


def test_a_name_that_is_no_text__can_be_signed(tmp_path):
    name = "mona\udce4\n.jpg"
    (tmp_path / name).write_bytes(b"picture")
    write(tmp_path / "out.png", Provenance("m", HASH, True).made_from([tmp_path / name]))
    ((title, _),) = read_credentials(tmp_path / "out.png").ingredients
    assert title == "mona\\udce4\\n.jpg"


@pytest.mark.parametrize("kind", SIGNED)
def test_an_output_whose_name_is_no_text__is_signed(tmp_path, kind):
    path = tmp_path / f"o\udcff.{kind}"
    write(path, Provenance("m", HASH, True))
    assert read_credentials(path).is_valid


def test_the_key__is_made_once_and_is_private(own_settings):
    first, second = signing_identity(), signing_identity()
    assert first == second and first is not None
    path = settings_folder() / certificates.FILE
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.key.decode() not in repr(first)


def test_a_folder_that_takes_no_key__is_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    for variable in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "file"))
    write(tmp_path / "out.png", Provenance("m", HASH, True))
    write(tmp_path / "out.mp4", Provenance("m", HASH, True))  # asks twice
    assert caplog.text.count("no Content Credentials are written") == 1
    assert read_credentials(tmp_path / "out.png") is None and verify(tmp_path / "out.png")


def test_the_users_certificate__signs(own_settings, tmp_path, monkeypatch):
    certificates._make(tmp_path / "own.pem")
    for variable in (CERTIFICATE_VARIABLE, KEY_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path / "own.pem"))
    write(tmp_path / "out.png", Provenance("m", HASH, True))
    assert read_credentials(tmp_path / "out.png").is_valid
    assert not settings_folder().exists()


def test_a_certificate_that_cannot_be_used__is_one_line_before_the_work(own_settings, tmp_path, monkeypatch):
    signing_identity()
    good, other = settings_folder() / certificates.FILE, tmp_path / "other.pem"
    monkeypatch.setenv(CERTIFICATE_VARIABLE, str(good))
    with pytest.raises(BadInput, match="expected both or none"):
        VideoWriter(tmp_path / "out.mp4", 25)
    certificates._make(other)
    other_text = other.read_text()
    for text, told in (
        (other_text, "is not the key of the first certificate"),
        (other_text[other_text.index("-----BEGIN CERT") :], "holds no private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "without password"),
    ):
        other.write_text(text)
        monkeypatch.setenv(KEY_VARIABLE, str(other))
        with pytest.raises(BadInput, match=told):
            VideoWriter(tmp_path / "out.mp4", 25)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(animate, ["no.jpg", "no.mp4"]), (edit, ["no.jpg"]), (fine_tune, ["no.jpg"]), (live, ["no.jpg", "-o", "o.gif"])],
)
def test_a_command__asks_for_the_certificate_before_it_reads_an_input(
    command, arguments, tmp_path, monkeypatch, capsys
):
    (tmp_path / "own.pem").write_text("no certificate")
    monkeypatch.chdir(tmp_path)
    for variable in (CERTIFICATE_VARIABLE, KEY_VARIABLE):
        monkeypatch.setenv(variable, "own.pem")
    assert command.main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: own.pem: holds no certificate")


def test_off__writes_no_credentials_and_makes_no_key(own_settings, tmp_path, monkeypatch):
    monkeypatch.setenv(SWITCH, "off")
    write(tmp_path / "out.png", Provenance("m", HASH, True))
    assert read_credentials(tmp_path / "out.png") is None
    assert not settings_folder().exists()


def test_without_the_package__nothing_is_signed_and_verify_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(content_credentials, "find_spec", lambda name: None)
    write(tmp_path / "out.png", Provenance("m", HASH, True))
    found = verify(tmp_path / "out.png")
    assert found and found.content_credentials is None
    assert "pip install 'fewshot_heads[c2pa]'" in found.lines()[1]
    monkeypatch.undo()
    assert read_credentials(tmp_path / "out.png") is None


def test_the_verdict__is_that_of_the_credentials_without_metadata(tmp_path, provenance):
    write(tmp_path / "out.png", None)
    content_credentials.sign(tmp_path / "out.png", provenance, "out.png")
    found = verify(tmp_path / "out.png")
    assert (found.metadata, found.in_pixels, found.verdict) == (None, False, "partly synthetic")
    json.dumps(found.as_json(), allow_nan=False)
