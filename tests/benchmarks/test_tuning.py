"""`python -m benchmarks.tuning`: its settings."""

import pytest

from benchmarks.tuning import main
from fewshot_heads.errors import BadInput


def test_a_folder_without_clips_is_named(tmp_path):
    (tmp_path / "clips" / "ann").mkdir(parents=True)
    (tmp_path / "weights").touch()
    words = [f"clips={tmp_path / 'clips'}", f"vgg={tmp_path / 'weights'}", f"csim={tmp_path / 'weights'}"]
    with pytest.raises(BadInput, match="no <identity>/<name>.mp4 in it"):
        main([*words, "max_identities=3"])
