"""The benchmark of edits: what counts as named, as other, and as no measurement."""

import numpy as np

from benchmarks.edit import NAMED, markdown, summarize
from fewshot_heads.driving.controls import CONTROLS
from fewshot_heads.metrics.expression import BLENDSHAPES


def measured(before=0.0, **changes):
    scores = np.array([changes.get(name, 0.0) for name in BLENDSHAPES])
    return {"before": np.full(52, before), "scores": scores, "degrees": np.array([1.0, -20.0, 2.0]), "csim": 0.9}


def test_every_control_of_expression_names_scores():
    signs = {name + sign for name, c in CONTROLS.items() if not c.unit for sign in "+-" if sign == "+" or c.low < 0}
    assert set(NAMED) == signs
    for starts in (start for named in NAMED.values() for start in (*named.rises, *named.same)):
        assert any(name.startswith(starts) for name in BLENDSHAPES), starts


def test_a_row_tells_named_from_others():
    smile = measured(mouthSmileLeft=0.4, mouthSmileRight=0.6, jawOpen=0.2, mouthFrownLeft=-0.9)
    row = summarize("smile", "+", [smile, measured(before=0.9)], [smile, smile])
    assert row["named"] == [0.5]  # the other portrait smiles already
    assert row["largest_other"] == {"name": "jawOpen", "change": 0.1}
    assert row["half_csim"] == [0.9, 0.9] and row["value"] == 1


def test_a_table_has_degrees_and_leaves_out_what_was_not_found():
    lost = measured() | {"degrees": np.full(3, np.nan), "csim": np.nan}
    row = summarize("yaw", "-", [measured(), lost], [measured(), lost])
    text = markdown({"controls": [row], "unchanged_psnr": [100.0], "milliseconds": [90.0, 110.0], "threads": 1})
    assert "| yaw=-30 | degrees | +20.0° | +20.0° | 1 |" in text and "median 100 ms" in text
