"""Reading and writing of single images, uint8 RGB [H, W, 3]."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from fewshot_heads.errors import BadInput
from fewshot_heads.media.files import atomic_write, write_error
from fewshot_heads.media.provenance import Provenance

MIN_SIDE_PX = 32
MAX_PIXELS = 500_000_000  # twenty times a large camera's image; a larger one is a mistake or an attack
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}  # suffixes that are read from folders
WRITTEN = (".png", ".jpg", ".jpeg", ".webp")  # suffixes that `write_image` takes
JPEG_QUALITY = 95  # for JPEG and WebP, 0 to 100
_EXIF_ORIENTATION = 0x0112  # number of the tag
# What Pillow raises for damaged files of all kinds.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def read_image(path: str | Path, max_side: int = 4096) -> np.ndarray:
    """Returns an image as uint8 RGB [H, W, 3], upright and in sRGB.

    Reads every format that Pillow knows. EXIF rotation and the color profile are applied. Transparent pixels become
    white. 16 bits become 8. An animation gives its first frame. A large JPEG is scaled down while it is decoded, so
    12000x9000 pixels never fill the memory.

    Args:
        path: the file.
        max_side: longest side of the result, pixels. A larger image is scaled down.

    Raises:
        BadInput: if the file is missing, a folder, damaged, no image, too small or too large.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: this is a folder; name one picture in it")
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    try:
        with _large_images(), Image.open(path) as image:
            width, height = image.size
            if min(width, height) < MIN_SIDE_PX:
                raise BadInput(f"{path}: {width}x{height} pixels is too small; give at least {MIN_SIDE_PX} a side")
            if width * height > MAX_PIXELS:
                raise BadInput(f"{path}: {width}x{height} pixels is too large; scale it down to {max_side} a side")
            image.draft("RGB", (max_side, max_side))
            return _upright_rgb(image, max_side)
    except BadInput:
        raise
    except UnidentifiedImageError as error:
        raise BadInput(f"{path}: not a picture that can be read; save it as JPEG or PNG") from error
    except PermissionError as error:
        raise BadInput(f"{path}: may not be read; change its permissions") from error
    except _UNREADABLE as error:
        raise BadInput(f"{path}: the picture is damaged or cut off ({error}); get a whole copy") from error


def write_image(path: str | Path, image: np.ndarray, mark: Provenance | None = None, overwrite: bool = False) -> None:
    """Writes an image as png, jpg or webp, completely or not at all.

    Args:
        path: the target. Its suffix chooses the format.
        image: uint8 RGB [H, W, 3].
        mark: provenance for the XMP packet of the file, or None for no mark.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: if the target cannot be written.
        ValueError: if the image has another type or shape.
    """
    path = Path(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{path}: a uint8 [H,W,3] picture was expected, {image.dtype} {list(image.shape)} came")
    with atomic_write(path, WRITTEN, overwrite) as part:
        options: dict[str, Any] = {"quality": JPEG_QUALITY}
        if path.suffix.lower() == ".png":
            chunks = PngInfo()
            if mark:
                chunks.add_itxt("XML:com.adobe.xmp", mark.xmp().decode())
            options = {"pnginfo": chunks}
        elif mark:
            options["xmp"] = mark.xmp()
        try:
            Image.fromarray(image).save(part, **options)
        except OSError as error:
            raise write_error(path, error) from error


@contextmanager
def _large_images() -> Iterator[None]:
    """Lifts Pillow's limit of 89 million pixels inside the block. The caller checks MAX_PIXELS instead."""
    pillow_limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as damaged EXIF; damaged pixels raise an error
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = pillow_limit


def _upright_rgb(image: Image.Image, max_side: int) -> np.ndarray:
    """Returns an open image as uint8 RGB [H, W, 3], as `read_image` describes."""
    converted = _eight_bit(image)
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)  # read after loading: a TIFF is turned while it loads
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
    upright.getexif()[_EXIF_ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(upright))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Returns 16-bit and float gray images with 8 bits, and every other image unchanged.

    Pillow itself would clip 16 bits.
    """
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        return Image.fromarray((values * (255 if values.max() <= 1 else 1)).round().clip(0, 255).astype(np.uint8))
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).clip(0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8))
    image.load()
    return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Returns an image converted from its color profile to sRGB, or unchanged without a profile.

    Telephones write wide-gamut profiles, print shops write CMYK profiles.
    """
    if not profile:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError):  # such as the profile of another color mode
        return image
