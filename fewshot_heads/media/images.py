"""Reading and writing of single images, uint8 RGB [H, W, 3]."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from fewshot_heads.errors import BadInput
from fewshot_heads.media.content_credentials import sign
from fewshot_heads.media.files import atomic_write, check_readable, write_error
from fewshot_heads.media.provenance import Provenance

MIN_SIDE_PX, MAX_SIDE_PX = 32, 4096  # of a picture; a larger one is scaled down
MAX_SIDE_RATIO = 32  # longer side over shorter; a longer image has hundreds of windows in which a face is searched
# Pixels of a picture from the header on, and after a JPEG was scaled down by its decoder. A progressive JPEG takes 8
# bytes for each of the first, another picture up to 16 bytes for each of the second: less than 2 GiB.
MAX_PIXELS, MAX_DECODED_PIXELS = 200_000_000, 100_000_000
# Decoders of Pillow that read one file and call no other program. EPS would start Ghostscript.
Image.init()
FORMATS = tuple(sorted({"AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"} & Image.OPEN.keys()))
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}  # suffixes that are read from folders
WRITTEN = (".png", ".jpg", ".jpeg", ".webp")  # suffixes that `write_image` takes
JPEG_QUALITY = 95  # for JPEG and WebP, 0 to 100
# Bytes 8 to 12 of a HEIC file. FFmpeg would take its first tile for a video.
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
HEIC = "a HEIC picture, which cannot be read; save it as JPEG or PNG"  # what messages say
_EXIF_ORIENTATION = 0x0112  # number of the tag
# What Pillow raises for damaged files of all kinds.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, RuntimeError, struct.error, zlib.error)


def read_image(path: str | Path, max_side: int = MAX_SIDE_PX) -> np.ndarray:
    """Returns an image as uint8 RGB [H, W, 3], upright and in sRGB.

    Reads the formats of `FORMATS`. EXIF rotation and the color profile are applied. Transparent pixels become white. 16
    bits become 8. An animation gives its first frame. A large JPEG is scaled down while it is decoded, so 12000x9000
    pixels never fill the memory.

    Args:
        path: the file.
        max_side: longest side of the result, pixels. A larger image is scaled down.

    Raises:
        BadInput: if the file is missing, no regular file, damaged, no image, too small or too large.
    """
    with open_image(Path(path)) as image, _large_images(path):
        image.draft("RGB", (max_side, max_side))
        check_size(str(path), *image.size, MAX_DECODED_PIXELS)
        return _upright_rgb(image, max_side)


@contextmanager
def open_image(path: Path, data: BinaryIO | None = None, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """Gives an open picture of an allowed format and size, not yet decoded.

    Args:
        path: the file, or the name of the data in messages.
        data: the content, if it does not come from the file.
        formats: Pillow's names of the formats that are tried.

    Raises:
        BadInput: if there is no such picture, also if the block finds the picture damaged.
    """
    if data is None:
        check_readable(path)
    try:
        with _large_images(path):
            image = Image.open(data or path, formats=formats)
        with image:
            check_size(str(path), *image.size, MAX_PIXELS)
            yield image
    except BadInput:
        raise
    except UnidentifiedImageError as error:
        kind = HEIC if data is None and is_heic(path) else "not a picture that can be read; save it as JPEG or PNG"
        raise BadInput(f"{path}: {kind}") from error
    except UNREADABLE as error:
        raise BadInput(f"{path}: the picture is damaged or cut off ({error}); get a whole copy") from error


def is_heic(path: Path) -> bool:
    """Returns whether a file is a HEIC picture, the format of iPhones.

    Args:
        path: a file that can be read, and that is of none of `FORMATS`.
    """
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS


def picture_format(path: Path) -> str | None:
    """Returns Pillow's name of a file's format, by content, or None if the file is no picture of `FORMATS`.

    Args:
        path: a file that can be read.
    """
    try:
        with _large_images(path), Image.open(path, formats=FORMATS) as image:
            return image.format
    except BadInput:
        raise
    except UNREADABLE:
        return None


def check_image(name: str, image: np.ndarray) -> None:
    """Checks an image that a caller gives as an array.

    Args:
        name: name of the image, for the message.
        image: anything. uint8 [H, W, 3] passes, with sides as `check_size` allows them.

    Raises:
        BadInput: if the image has another type, shape or size.
    """
    if not isinstance(image, np.ndarray):
        raise BadInput(f"{name}: got {type(image).__name__}, expected an array uint8 [H, W, 3]")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise BadInput(f"{name}: got {image.dtype} {list(image.shape)}, expected uint8 [H, W, 3]")
    check_size(name, image.shape[1], image.shape[0], MAX_DECODED_PIXELS)


def check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Checks the size of a picture or of a video's frame.

    Args:
        name: the file or frame, for the message.
        width: pixels.
        height: pixels.
        max_pixels: largest product of both.

    Raises:
        BadInput: if the size is too small, too large, or one side is more than 32 times the other.
    """
    size = f"{name}: {width}x{height} pixels"
    if min(width, height) < MIN_SIDE_PX:
        raise BadInput(f"{size} is too small; give at least {MIN_SIDE_PX} a side")
    if width * height > max_pixels:
        raise BadInput(f"{size} is too large; scale it down to {max_pixels / 1e6:g} million pixels at most")
    if max(width, height) > MAX_SIDE_RATIO * min(width, height):
        raise BadInput(f"{size} is too long and narrow; one side may be {MAX_SIDE_RATIO} times the other at most")


def write_image(path: str | Path, image: np.ndarray, mark: Provenance | None = None, overwrite: bool = False) -> None:
    """Writes an image as png, jpg or webp, completely or not at all.

    Args:
        path: the target. Its suffix chooses the format.
        image: uint8 RGB [H, W, 3].
        mark: provenance, or None for no mark. See `VideoWriter` for where it is written.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: if the target cannot be written.
        ValueError: if the image has another type or shape.
    """
    path = Path(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{path}: a uint8 [H,W,3] picture was expected, {image.dtype} {list(image.shape)} came")
    with atomic_write(path, WRITTEN, overwrite) as part:
        chunks, options = PngInfo(), dict[str, Any](quality=JPEG_QUALITY)
        if mark:
            from fewshot_heads.media.watermark import embed  # OpenCV: not for commands that only check their arguments

            chunks.add_itxt("XML:com.adobe.xmp", mark.xmp().decode())
            image, options["xmp"] = embed(image, mark.sha256), mark.xmp()
        try:
            Image.fromarray(image).save(part, **({"pnginfo": chunks} if path.suffix.lower() == ".png" else options))
        except OSError as error:
            raise write_error(path, error) from error
        if mark:
            sign(part, mark, path.name)


@contextmanager
def _large_images(path: str | Path) -> Iterator[None]:
    """Raises Pillow's limit to MAX_PIXELS: it fills the first frame of some gifs before their size can be checked."""
    pillow_limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as damaged EXIF; damaged pixels raise an error
            yield
    except Image.DecompressionBombError as error:
        raise BadInput(f"{path}: too large; scale it down to {MAX_PIXELS // 10**6} million pixels at most") from error
    finally:
        Image.MAX_IMAGE_PIXELS = pillow_limit


def _upright_rgb(image: Image.Image, max_side: int) -> np.ndarray:
    """Returns an open image as uint8 RGB [H, W, 3], as `read_image` describes."""
    converted = _eight_bit(image)
    orientation = _orientation(image)  # read after loading: a TIFF is turned while it loads
    profile = image.info.get("icc_profile")
    if converted.mode not in ("RGB", "RGBA", "L", "CMYK"):
        converted = converted.convert("RGBA" if converted.has_transparency_data else "RGB")
    elif converted.mode != "RGBA" and converted.has_transparency_data:
        converted = converted.convert("RGBA")
    converted.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    converted = _in_srgb(converted, profile)
    if converted.mode == "RGBA":
        converted = Image.alpha_composite(Image.new("RGBA", converted.size, "white"), converted)
    upright = converted.convert("RGB")
    upright.info = {}  # else the orientation would join the EXIF data of the file, which may be broken
    upright.getexif()[_EXIF_ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(upright))


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a loaded image, 1 to 8; broken EXIF counts as 1, upright."""
    with suppress(*UNREADABLE):
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    return 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Returns 16-bit and float gray images with 8 bits, where Pillow would clip, and other images unchanged."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)  # one infinite pixel must not scale all
        return Image.fromarray((values * (255 if values.max() <= 1 else 1)).round().clip(0, 255).astype(np.uint8))
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).clip(0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8))
    image.load()
    return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Returns an image converted from its color profile, such as wide-gamut or CMYK, to sRGB."""
    if not profile:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError):  # such as the profile of another color mode
        return image
