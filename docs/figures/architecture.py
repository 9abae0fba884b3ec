"""Draws architecture.svg beside this file: how source images and a driving video become a frame.

python docs/figures/architecture.py

Every thumbnail is computed by the library from examples/mona_lisa.jpg and examples/driver.mp4.
"""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads import Reenactor, read_image, read_video
from fewshot_heads.landmarks.stickman import draw_stickman

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
FRAME = 75  # of the driver: a laugh with a turned head
THUMB = 96  # pixels in the figure
INK, MUTED, PAPER = "#1f2933", "#5f6b7a", "#ffffff"
LANES = {"identity": ("#eaf1fb", "#2f67b1"), "motion": ("#fdf1e3", "#c2701c"), "pixels": ("#e8f5ec", "#2f8552")}
GENERATOR = ("#efe9f9", "#6546a6")


def thumbnails() -> dict[str, str]:
    """Data URIs of the pictures in the figure, by name."""
    reenactor = Reenactor.from_pretrained()
    picture = read_image(EXAMPLES / "mona_lisa.jpg")
    head = reenactor.embed([picture])
    frames = [frame for i, frame in enumerate(read_video(EXAMPLES / "driver.mp4")) if i <= FRAME]
    crop = list(reenactor.animate(head, frames, paste_back=False))[-1]
    result = list(reenactor.animate(head, frames))[-1]
    (face, *_), (made, *_) = reenactor.detectors[0].detect(frames[-1]), reenactor.detectors[0].detect(crop)
    left, top, right, bottom = face.box
    side = 1.5 * max(right - left, bottom - top)
    rise = 0.05 * (bottom - top)  # room for hair
    corner = np.float32([(left + right - side) / 2, (top + bottom - side) / 2 - rise])
    scale = reenactor.size / side
    affine = np.float32([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    driver = cv2.warpAffine(frames[-1], affine, (reenactor.size, reenactor.size), flags=cv2.INTER_AREA)
    points = np.float32(scale * (face.points - corner))
    images = {
        "source": head.textures[0],
        "source_stickman": draw_stickman(head.landmarks[0].points, reenactor.size),
        "driver": driver,
        "driver_landmarks": draw_stickman(points, reenactor.size),
        "stickman": draw_stickman(made.points, reenactor.size),  # detected on the result, which follows it
        "result": result,
    }
    return {name: _data_uri(image) for name, image in images.items()}


def _data_uri(image: np.ndarray) -> str:
    height = 2 * THUMB
    width = round(image.shape[1] / image.shape[0] * height)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(coded).decode()}"


def text(x: float, y: float, lines: str, size: int = 13, color: str = INK, weight: int = 400, anchor="middle") -> str:
    """Lines of text, separated by newlines, around (x, y)."""
    rows = lines.split("\n")
    first = y - (len(rows) - 1) * size * 0.65 + size * 0.35
    return "".join(
        f'<text x="{x}" y="{first + i * size * 1.3:.1f}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{row}</text>'
        for i, row in enumerate(rows)
    )


def box(x: float, y: float, width: float, height: float, title: str, note: str, colors, dashed: bool = False) -> str:
    """A rounded box with a bold title and a smaller note below it."""
    fill, line = colors
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    rows = note.count("\n") + 1 if note else 0
    middle = x + width / 2
    start = y + height / 2 - rows * 7.5
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="9" fill="{PAPER}" stroke="{line}" '
        f'stroke-width="1.8"{dash}/>'
        + text(middle, start, title, 14, line, 700)
        + (text(middle, start + 11 + rows * 7.5, note, 11.5, MUTED) if note else "")
    )


def pill(x: float, y: float, width: float, label: str, shape: str, line: str) -> str:
    """A value that flows: its name and the shape of its tensor."""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="30" rx="15" fill="{line}"/>'
        f'<text x="{x + width / 2}" y="{y + 19.5}" font-size="13" fill="#fff" text-anchor="middle">'
        f'<tspan font-weight="700">{label}</tspan><tspan fill-opacity=".85"> {shape}</tspan></text>'
    )


def thumb(x: float, y: float, uri: str, caption: str, line: str, copies: int = 1, width: float = THUMB) -> str:
    """A picture, or the first of a pile of them, with a caption."""
    pile = "".join(
        f'<rect x="{x + 7 * i}" y="{y - 7 * i}" width="{width}" height="{THUMB}" rx="6" fill="{PAPER}" '
        f'stroke="{line}" stroke-opacity=".55"/>'
        for i in range(copies - 1, 0, -1)
    )
    return (
        pile
        + f'<image x="{x}" y="{y}" width="{width}" height="{THUMB}" href="{uri}" preserveAspectRatio="none"/>'
        + f'<rect x="{x}" y="{y}" width="{width}" height="{THUMB}" rx="2" fill="none" stroke="{line}" '
        + 'stroke-width="1.4"/>'
        + text(x + width / 2, y + THUMB + 14, caption, 12, MUTED)
    )


def arrow(path: str, color: str = MUTED, dashed: bool = False) -> str:
    """A line along an SVG path with a head at its end."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.8"{dash} marker-end="url(#tip)"/>'


def lane(y: float, height: float, title: str, note: str, colors) -> str:
    """A band behind one part of the method."""
    fill, line = colors
    return (
        f'<rect x="16" y="{y}" width="1208" height="{height}" rx="14" fill="{fill}"/>'
        + text(34, y + 20, title, 14, line, 700, "start")
        + text(34 + 8.2 * len(title) + 8, y + 20.6, note, 12, MUTED, 400, "start")
    )


def figure(images: dict[str, str]) -> str:
    """The whole drawing as SVG."""
    (_, blue), (_, orange), (_, green), (_, violet) = *LANES.values(), GENERATOR
    parts = [
        lane(16, 178, "Identity", "once per person", LANES["identity"]),
        lane(206, 178, "Motion", "every frame", LANES["motion"]),
        lane(396, 188, "Pixels", "every frame, but the layers once per person", LANES["pixels"]),
        # Identity: K sources and their stickmen to a style.
        thumb(40, 62, images["source"], "K source images", blue, copies=3),
        thumb(178, 62, images["source_stickman"], "and stickmen", blue, copies=3),
        arrow("M296 110 H346"),
        box(350, 78, 128, 64, "Embedder", "1.4 M parameters", LANES["identity"]),
        arrow("M478 110 H534"),
        pill(538, 95, 112, "e_hat", "[256]", blue),
        text(594, 138, "mean over K", 12, MUTED),
        arrow("M650 110 H706"),
        box(710, 78, 128, 64, "Projection", "one linear layer", LANES["identity"]),
        arrow("M774 142 V232"),
        pill(709, 158, 130, "style", "[2240]", blue),
        # Motion: the driver's landmarks on the source's face.
        thumb(40, 252, images["driver"], "driving video", orange),
        thumb(178, 252, images["driver_landmarks"], "landmarks", orange),
        arrow("M136 300 H174"),
        arrow("M274 300 H346"),
        arrow("M292 150 C326 190 410 190 414 264", blue),
        text(422, 222, "source shape", 12, blue, anchor="start"),
        box(350, 268, 128, 64, "Retargeting", "keeps face shape", LANES["motion"]),
        arrow("M478 300 H542"),
        thumb(546, 252, images["stickman"], "stickman", orange),
        arrow("M642 300 H706"),
        box(710, 236, 128, 128, "Generator", "U-Net with AdaIN\n2.7 M parameters\n3.2 GFLOP / frame", GENERATOR),
        # Pixels: the source is separated, turned, composited and pasted back.
        thumb(40, 444, images["source"], "source image", green),
        arrow("M136 492 H196"),
        box(200, 460, 112, 64, "Layers", "head, body, wall", LANES["pixels"]),
        arrow("M312 492 H346"),
        box(350, 460, 128, 64, "Turn", "the head in space", LANES["pixels"]),
        arrow("M556 352 C540 410 414 400 414 456", orange),
        arrow("M478 492 C500 492 500 460 526 460"),
        pill(530, 445, 130, "turned head", "", green),
        pill(530, 509, 130, "body, background", "", green),
        arrow("M256 524 C256 552 420 552 526 526"),
        arrow("M660 460 H706"),
        arrow("M660 524 C684 524 684 508 706 508"),
        arrow("M660 452 C690 436 690 360 706 344", green),
        arrow("M774 364 V440", violet),
        text(782, 395, "flow correction,\nRGB, blend weight", 11.5, violet, anchor="start"),
        box(710, 444, 128, 96, "Composite", "at the source's\nresolution,\nup to 1024 px", LANES["pixels"]),
        arrow("M838 492 H866"),
        box(870, 460, 108, 64, "Face parts", "eyelids, mouth", LANES["pixels"]),
        arrow("M978 492 H1006"),
        box(1010, 460, 92, 64, "Paste back", "feathered", LANES["pixels"]),
        arrow("M1102 492 H1122"),
        thumb(1126, 444, images["result"], "frame", green, width=82),
        # Training only.
        box(
            960, 246, 248, 108, "Projection discriminator",
            "training only\nscore(frame, stickman, w)\nw = W[identity] + w0", ("", MUTED), dashed=True,
        ),
        arrow("M838 458 C960 446 916 318 956 306", MUTED, dashed=True),
    ]  # fmt: skip
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1240 600" width="1240" height="600" '
        'font-family="Inter, \'Helvetica Neue\', Helvetica, Arial, sans-serif" role="img" '
        'aria-label="Source images give a style, the driving video a stickman, and the generator composites a frame">'
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="context-stroke"/></marker></defs>'
        f'<rect width="1240" height="600" rx="16" fill="{PAPER}"/>' + "".join(parts) + "</svg>\n"
    )


if __name__ == "__main__":
    (HERE / "architecture.svg").write_text(figure(thumbnails()), encoding="utf-8")
