"""Pictures of every kind come in as upright uint8 RGB; what cannot be used is named in one line."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, ImageCms

from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.imaging.convert import to_tensor, to_uint8
from fewshot_heads.media.images import FORMATS, read_image, write_image
from fewshot_heads.media.video_reader import read_video


def halves(left, right, size=(64, 48), mode="RGB"):
    """A picture whose left half has one color and whose right half another."""
    image = Image.new(mode, size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def png16(path, samples):
    """A 16-bit PNG [H,W] or [H,W,3], written by hand because Pillow writes no 16-bit RGB."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2 if samples.ndim == 3 else 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_png_comes_in_as_it_is(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a = (1).png")
    read = read_image(tmp_path / "a = (1).png")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, picture)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_exif_rotation_is_applied_once(tmp_path, orientation, suffix):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24, :32], upright[24:, :32] = (250, 0, 0), (0, 0, 250)
    undo = {1: (), 2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}[orientation]
    stored = Image.fromarray(upright)
    for way in undo:
        stored = stored.transpose(Image.Transpose(way))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"turned.{suffix}", exif=exif)
    read = read_image(tmp_path / f"turned.{suffix}")
    assert read.shape == upright.shape
    assert np.abs(read[12, 16].astype(int) - upright[12, 16]).max() < 10
    assert np.abs(read[36, 16].astype(int) - upright[36, 16]).max() < 10
    assert read[36, 48].max() < 10


def test_transparency_lies_on_white(tmp_path):
    halves((0, 0, 0, 0), (200, 0, 0, 128), mode="RGBA").save(tmp_path / "clear.png")
    read = read_image(tmp_path / "clear.png")
    assert read[0, 0].tolist() == [255, 255, 255]
    assert np.abs(read[0, -1].astype(int) - [227, 127, 127]).max() <= 1


def test_a_palette_with_a_clear_color_lies_on_white(tmp_path):
    halves(0, 1, mode="P").save(tmp_path / "before.png")
    image = Image.open(tmp_path / "before.png")
    image.putpalette([9, 9, 9, 10, 20, 30])
    image.save(tmp_path / "palette.png", transparency=0)
    read = read_image(tmp_path / "palette.png")
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[0, -1].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "mode, color, expected", [("L", 77, [77, 77, 77]), ("1", 1, [255] * 3), ("LA", (77, 255), [77] * 3)]
)
def test_gray_pictures_become_rgb(tmp_path, mode, color, expected):
    Image.new(mode, (40, 40), color).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png")[5, 5].tolist() == expected


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(tmp_path / "inks.jpg", quality=95)
    red, green, blue = read_image(tmp_path / "inks.jpg")[20, 20].tolist()
    assert red > 245 and green < 10 and blue < 10


@pytest.mark.parametrize("level", [0, 1000, 25700, 40000, 65535])
def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path, level):
    samples = np.full((40, 40), level, np.uint16)
    png16(tmp_path / "deep.png", samples)
    Image.fromarray(samples).save(tmp_path / "deep.tif")
    for name in ("deep.png", "deep.tif"):
        assert read_image(tmp_path / name)[3, 3].tolist() == [round(level / 257)] * 3


def test_sixteen_bit_rgb_is_scaled_within_one_level(tmp_path):
    samples = np.zeros((40, 40, 3), np.uint16)
    samples[:] = (65535, 30000, 257)
    png16(tmp_path / "deep.png", samples)
    assert np.abs(read_image(tmp_path / "deep.png")[3, 3].astype(int) - [255, 117, 1]).max() <= 1


def test_an_animation_gives_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    assert read_image(tmp_path / "moving.gif")[9, 9].tolist() == [255, 0, 0]


def test_a_color_profile_is_applied(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    Image.new("RGB", (40, 40), (90, 120, 30)).save(tmp_path / "odd.png", icc_profile=profile.tobytes())
    assert read_image(tmp_path / "odd.png")[1, 1].tolist() == [90, 120, 30]  # a profile that cannot apply is let be
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.new("RGB", (40, 40), (90, 120, 30)).save(tmp_path / "same.png", icc_profile=srgb.tobytes())
    assert np.abs(read_image(tmp_path / "same.png")[1, 1].astype(int) - [90, 120, 30]).max() <= 1


def test_a_picture_of_a_hundred_million_pixels_is_read_smaller(tmp_path):
    image = Image.new("L", (12000, 9000), 90)
    image.paste(200, (0, 0, 6000, 9000))
    image.save(tmp_path / "huge.jpg")
    read = read_image(tmp_path / "huge.jpg", max_side=1024)
    assert read.shape == (768, 1024, 3)
    assert abs(int(read[300, 100, 0]) - 200) <= 2 and abs(int(read[300, 900, 0]) - 90) <= 2


def test_pillows_own_guard_is_back_after_reading(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    Image.new("RGB", (40, 40)).save(tmp_path / "small.png")
    read_image(tmp_path / "small.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_truncated_jpg_is_named_in_one_line(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="cut.jpg.*whole copy") as error:
        read_image(tmp_path / "cut.jpg")
    one_line(error)


def test_a_truncated_png_is_named_in_one_line(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    with pytest.raises(BadInput, match="cut.png.*whole copy") as error:
        read_image(tmp_path / "cut.png")
    one_line(error)


def test_a_text_file_named_jpg_is_named_in_one_line(tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear Lisa,\n" * 100)
    with pytest.raises(BadInput, match="letter.jpg: not a picture.*save it as") as error:
        read_image(tmp_path / "letter.jpg")
    one_line(error)


def test_an_empty_file_is_named_in_one_line(tmp_path):
    (tmp_path / "nothing.png").touch()
    with pytest.raises(BadInput, match="nothing.png") as error:
        read_image(tmp_path / "nothing.png")
    one_line(error)


def test_a_missing_path_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(BadInput, match="mona.jpg: no such file"):
        read_image(tmp_path / "mona.jpg")
    with pytest.raises(BadInput, match="this is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (31, 200), (200, 31)])
def test_a_picture_under_32_pixels_is_refused_with_its_size(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "dot.png")
    with pytest.raises(BadInput, match=f"dot.png: {size[0]}x{size[1]} pixels is too small.*32"):
        read_image(tmp_path / "dot.png")


def test_postscript_never_reaches_ghostscript(tmp_path, monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called"))
    (tmp_path / "loop.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n{ } loop\n%%EOF")
    with pytest.raises(BadInput, match="loop.jpg: not a picture"):
        read_image(tmp_path / "loop.jpg")


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_the_content_tells_the_format_whatever_the_name(tmp_path, kind):
    Image.new("RGB", (40, 40), (200, 200, 200)).save(tmp_path / "picture.eps", format=kind)
    assert read_image(tmp_path / "picture.eps")[20, 20].tolist() == [200, 200, 200]


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow reads no AVIF")
def test_a_damaged_avif_is_named_in_one_line(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.avif")
    data = bytearray((tmp_path / "whole.avif").read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 40] = bytes(40)
    (tmp_path / "broken.avif").write_bytes(data)
    with pytest.raises(BadInput, match="broken.avif: the picture is damaged"):
        read_image(tmp_path / "broken.avif")


@pytest.mark.parametrize("read", [read_image, read_video])
@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevx"])
def test_heic_is_named_as_a_picture_and_as_a_driver(tmp_path, read, brand):
    (tmp_path / "telephone.heic").write_bytes(b"\0\0\0\x24ftyp" + brand + bytes(64))
    with pytest.raises(BadInput, match="telephone.heic: a HEIC picture.*JPEG"):
        read(tmp_path / "telephone.heic")


def test_a_picture_with_broken_exif_is_read_upright(tmp_path):
    Image.new("RGB", (64, 48), (9, 9, 200)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*" + b"\xff" * 40)
    assert read_image(tmp_path / "a.jpg").shape == (48, 64, 3)
    Image.new("RGB", (64, 48), (9, 9, 200)).save(tmp_path / "b.jpg", exif=b"Exif\0\0no EXIF at all")
    assert read_image(tmp_path / "b.jpg").shape == (48, 64, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(BadInput, match="a pipe or a device"):
            read_image(path)


@pytest.mark.parametrize("size, words", [((10_001, 10_000), "too large"), ((32 * 40 + 1, 40), "too long and narrow")])
def test_a_size_that_cannot_be_worked_with_is_refused_from_the_header(tmp_path, size, words, monkeypatch):
    Image.new("L", size).save(tmp_path / "big.png")
    monkeypatch.setattr(Image.Image, "thumbnail", lambda *_: pytest.fail("the picture was decoded"))
    with pytest.raises(BadInput, match=f"big.png: {size[0]}x{size[1]} pixels is {words}"):
        read_image(tmp_path / "big.png")


@pytest.mark.parametrize("shape", [(8, 9, 3), (2, 8, 9, 3)])
def test_a_tensor_and_back_changes_nothing(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tensor = to_tensor(image)
    assert tensor.shape == (*shape[:-3], 3, *shape[-3:-1])
    assert tensor.dtype == torch.float32 and tensor.min() >= -1 and tensor.max() <= 1
    np.testing.assert_array_equal(to_uint8(tensor), image)


def test_black_is_minus_one_and_white_is_one():
    assert to_tensor(np.zeros((1, 1, 3), np.uint8)).unique().tolist() == [-1]
    assert to_tensor(np.full((1, 1, 3), 255, np.uint8)).unique().tolist() == [1]


def test_values_are_rounded_and_those_outside_are_clipped():
    values = torch.tensor([-3.0, 3.0, (99.6 / 127.5) - 1]).view(3, 1, 1)
    assert to_uint8(values).ravel().tolist() == [0, 255, 100]


@pytest.mark.parametrize("suffix, tolerance", [("png", 0), ("jpg", 4), ("webp", 8)])
def test_a_written_picture_comes_back(tmp_path, suffix, tolerance):
    picture = np.array(halves((200, 40, 60), (20, 90, 130)))
    write_image(tmp_path / f"out.{suffix}", picture)
    assert np.abs(read_image(tmp_path / f"out.{suffix}").astype(int) - picture)[:, [5, -5]].max() <= tolerance
    assert [file.name for file in tmp_path.iterdir()] == [f"out.{suffix}"]


def test_an_existing_picture_is_kept_unless_overwriting_is_allowed(tmp_path):
    old, new = np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 9, np.uint8)
    write_image(tmp_path / "out.png", old)
    with pytest.raises(OutputError, match="out.png: exists already.*--overwrite"):
        write_image(tmp_path / "out.png", new)
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), old)
    write_image(tmp_path / "out.png", new, overwrite=True)
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), new)


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch):
    def full(self, file, **options):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match="out.png: the disk is full"):
        write_image(tmp_path / "out.png", np.zeros((40, 40, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_an_unknown_kind_of_picture_names_the_kinds_there_are(tmp_path):
    with pytest.raises(OutputError, match=".png, .jpg, .jpeg, .webp"):
        write_image(tmp_path / "out.xyz", np.zeros((40, 40, 3), np.uint8))


def test_an_infinite_pixel_of_a_float_picture_leaves_the_others_as_they_are(tmp_path):
    values = np.full((40, 40), 0.5, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "float.tiff")
    image = read_image(tmp_path / "float.tiff")
    assert (image[1:] == 128).all() and (image[0, :3] == 0).all()


def test_a_gif_whose_first_frame_is_immense_is_refused_before_it_is_filled(tmp_path):
    """Pillow fills a frame that is to be disposed of as it opens the file."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + bytes(6)
    disposed = b"\x21\xf9\x04\x08" + bytes(4)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00"
    (tmp_path / "immense.gif").write_bytes(screen + disposed + frame + b"\x3b")
    for read in (read_image, lambda path: list(read_video(path))):
        with pytest.raises(BadInput, match="immense.gif: too large; scale it down to 200 million pixels at most"):
            read(tmp_path / "immense.gif")
