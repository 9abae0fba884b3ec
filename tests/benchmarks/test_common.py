"""What all benchmarks share: settings, intervals and strict JSON."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.common import bootstrap, settings, strict_json
from fewshot_heads.errors import BadInput


def test_bootstrap__repeats_and_covers_the_mean():
    values = np.random.default_rng(1).normal(3.0, 1.0, 400)
    low, high = bootstrap(values)
    assert bootstrap(values) == (low, high)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)  # 1.96 standard errors each way


def test_bootstrap__of_degenerate_samples_is_defined():
    assert bootstrap([2.0]) == (2.0, 2.0)
    assert bootstrap([1.0, float("nan"), 1.0]) == (1.0, 1.0)
    assert all(np.isnan(bound) for bound in bootstrap([]))


def test_settings__a_misspelt_one_names_the_nearest():
    defaults = {"frames": 32, "clips": "", "seconds": 10.0}
    assert settings(defaults, ["clips=a=b (1)", "frames=4"]) == {"frames": 4, "clips": "a=b (1)", "seconds": 10.0}
    with pytest.raises(BadInput, match="did you mean 'frames'"):
        settings(defaults, ["frame=4"])
    with pytest.raises(BadInput, match="frames='many'"):
        settings(defaults, ["frames=many"])


def test_strict_json__has_no_nan():
    assert strict_json({"a": [float("nan"), float("inf"), np.float32(1.5), np.int64(2)]}) == {"a": [None, None, 1.5, 2]}
