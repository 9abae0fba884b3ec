"""Fine-tunes a head on its own picture and shows the change: picture, before, after.

python examples/ones_own_head.py [PICTURE] [HEAD]
"""

import sys
from pathlib import Path

from tqdm import tqdm

from fewshot_heads import Reenactor, write_image
from fewshot_heads.training.comparison import before_and_after

HERE = Path(__file__).parent


def main(picture=HERE / "mona_lisa.jpg", saved="mona.safetensors", steps=None):
    """Writes the fine-tuned head and a grid that compares it."""
    reenactor = Reenactor.from_pretrained()
    mona = reenactor.embed([picture])
    with tqdm(unit="step", disable=None) as bar:
        tuned = reenactor.fine_tune(mona, steps=steps, on_step=lambda done, of: bar.update(done - bar.n))
    tuned.save(saved, overwrite=True)
    grid = Path(saved).with_suffix(".png")
    write_image(grid, before_and_after(reenactor, mona, tuned), reenactor.provenance(composite=False), overwrite=True)
    print(saved, grid)


if __name__ == "__main__":
    main(*sys.argv[1:])
