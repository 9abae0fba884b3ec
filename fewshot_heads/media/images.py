"""Pictures in and out: uint8 RGB [H,W,3] at the library's boundary, float [-1,1] tensors inside."""

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

MIN_SIDE = 32
MAX_PIXELS = 500_000_000  # twenty times a large camera's; beyond it a picture is a mistake or an attack
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}  # read from folders
WRITTEN = (".png", ".jpg", ".jpeg", ".webp")
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def read_image(path: str | Path, max_side: int = 4096) -> np.ndarray:
    """Read any picture Pillow knows as uint8 RGB [H,W,3], upright, in sRGB.

    EXIF rotation and the color profile are applied, transparency lies on white, 16 bits become 8, an animation
    gives its first frame. A picture whose longest side is over `max_side` pixels is scaled down to it (a JPEG while
    it is decoded, so a 12000x9000 one never fills memory). Raises BadInput.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: this is a folder; name one picture in it")
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    try:
        with _large_pictures(), Image.open(path) as image:
            width, height = image.size
            if min(width, height) < MIN_SIDE:
                raise BadInput(f"{path}: {width}x{height} pixels is too small; give at least {MIN_SIDE} a side")
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
    """Write uint8 RGB [H,W,3] as png, jpg or webp, whole or not at all, the mark in its XMP. Raises OutputError."""
    path = Path(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{path}: a uint8 [H,W,3] picture was expected, {image.dtype} {list(image.shape)} came")
    with atomic_write(path, WRITTEN, overwrite) as part:
        options: dict[str, Any] = {"quality": 95}
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
def _large_pictures() -> Iterator[None]:
    """Lift Pillow's guard at 89 million pixels for this one picture; MAX_PIXELS stands in its place."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and the like; what matters raises
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _upright_rgb(image: Image.Image, max_side: int) -> np.ndarray:
    plain = _eight_bit(image)
    orientation = image.getexif().get(0x0112, 1)  # asked after loading, because a TIFF turns itself then
    profile = image.info.get("icc_profile")
    if plain.mode not in ("RGB", "RGBA", "L", "CMYK"):
        plain = plain.convert("RGBA" if plain.has_transparency_data else "RGB")
    elif plain.mode != "RGBA" and plain.has_transparency_data:
        plain = plain.convert("RGBA")
    plain.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    plain = _in_srgb(plain, profile)
    if plain.mode == "RGBA":
        plain = Image.alpha_composite(Image.new("RGBA", plain.size, "white"), plain)
    upright = plain.convert("RGB")
    upright.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(upright))


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit gray (which Pillow would clip) and float gray as 8 bits; every other picture as it is."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        return Image.fromarray((values * (255 if values.max() <= 1 else 1)).round().clip(0, 255).astype(np.uint8))
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).clip(0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8))
    image.load()
    return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture through its color profile (a telephone's wide gamut, a printer's inks), where it has one."""
    if not profile:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError):  # a profile of another kind of picture is no reason to fail
        return image
