"""HDR footage looks as its SDR version does."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc

from fewshot_heads.media.tone_mapping import ToneMap, compressed, nits_to_pq, pq_to_nits
from fewshot_heads.media.video_reader import read_video

WHITE = {ColorTrc.SMPTE2084: 0.5807, ColorTrc.ARIB_STD_B67: 0.75}  # codes of 203 cd/m2, ITU-R BT.2408


def codes(*levels):
    """A picture of gray stripes, uint16 [8, 8 N, 3]; levels from 0 to 1."""
    return np.tile((np.repeat(levels, 8) * 65535).round().astype(np.uint16)[None, :, None], (8, 1, 3))


def test_pq_has_the_values_of_the_recommendation():
    np.testing.assert_allclose(
        nits_to_pq(np.array([0.0, 100, 203, 1000, 10000])), [0, 0.508, 0.581, 0.752, 1], atol=1e-3
    )
    np.testing.assert_allclose(pq_to_nits(nits_to_pq(np.array([1.0, 50, 700]))), [1, 50, 700])


def test_the_curve_rises_keeps_shadows_and_ends_at_white():
    nits = np.linspace(0, 1000, 500)
    curve = compressed(nits)
    assert (np.diff(curve) > 0).all() and curve[-1] == pytest.approx(203)
    np.testing.assert_allclose(curve[nits < 80], nits[nits < 80], rtol=1e-6)


@pytest.mark.parametrize("transfer, white", WHITE.items())
def test_diffuse_white_is_bright_and_black_black(transfer, white):
    image = codes(0, white / 2, white, 1)
    black, gray, bright, brightest = (
        ToneMap(transfer == ColorTrc.ARIB_STD_B67, ColorPrimaries.BT2020, image).apply(image)[0, ::8, 0].tolist()
    )
    assert black == 0 and 30 < gray < 110 and 220 < bright < 245 and brightest == 255


def test_dark_footage_is_raised_to_white_and_a_fade_from_black_is_not():
    dim, black = codes(0.45), codes(0.1)  # 55 and 0.3 cd/m2 in PQ
    alone, after_black = (ToneMap(False, ColorPrimaries.BT2020, first).apply(dim).max() for first in (dim, black))
    assert alone > 1.3 * after_black


def test_colors_keep_their_hue_and_wide_ones_become_more_vivid():
    red = codes(0.4)
    red[..., 1:] = int(0.3 * 65535)
    wide, plain = (
        ToneMap(False, space, red).apply(red)[0, 0] for space in (ColorPrimaries.BT2020, ColorPrimaries.BT709)
    )
    assert plain[0] > plain[1] == plain[2] and wide[0] > plain[0] and wide[1] < plain[1]


@pytest.mark.parametrize("transfer, white", WHITE.items())
def test_a_video_is_tone_mapped_while_it_is_read(tmp_path, transfer, white):
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, int(transfer), 9
        image = np.full((48, 64, 3), round(white * 65535), np.uint16)
        image[:24] = 0
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb48le").reformat(format="yuv420p10le", dst_colorspace=9)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = list(read_video(path))
    assert len(frames) == 3
    for frame in frames:  # without the tone map, 148 and 191
        assert frame.dtype == np.uint8 and 220 < frame[30:].mean() < 245 and frame[:18].max() < 4
