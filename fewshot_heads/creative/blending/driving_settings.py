"""Settings of heads that follow a driver, shared by morph, portrait and sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fewshot_heads.cli.schema import RULES
from fewshot_heads.driving.covered_mouth import mouth_is_covered
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import check_at_least, check_choice
from fewshot_heads.head import Head
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.reenactor import Reenactor


@dataclass(frozen=True)
class DrivingSettings:
    """How heads follow a driver; the keys that conf/morph.yaml, portrait.yaml and sample.yaml share.

    Attributes:
        motion: "relative" keeps the person's face shape, "absolute" copies the driver's landmarks.
        pose: strength of the head motion, 0 to 2.
        expression: strength of the facial expression, 0 to 2.
        reference: driver frame that matches the source's pose, from 0; "auto" takes the motion's, or chooses it.
        mouth: "driver" shows the driver's open mouth, "inpainted" generates it.
        resolution: side of the frames, pixels; "auto" takes that of the largest source.
        batch: frames per call of the generator.
    """

    motion: str = "relative"
    pose: float = 1.0
    expression: float = 1.0
    reference: int | str = "auto"
    mouth: str = "driver"
    resolution: int | str = "auto"
    batch: int = 1

    @property
    def side(self) -> int | None:
        """Side of the frames in pixels, as `IdentityBlend` takes it; None for "auto"."""
        return None if self.resolution == "auto" else int(self.resolution)

    def check(self) -> None:
        """Raises BadInput for a setting that is not allowed."""
        self.check_choices("motion", "mouth")
        check_at_least("batch", self.batch, 1)

    def check_choices(self, *names: str) -> None:
        """Raises BadInput for a setting that is none of the words in `cli.schema.RULES`."""
        for name in names:
            check_choice(name, getattr(self, name), RULES[name].words)

    def track(self, reenactor: Reenactor, driver: Motion | Iterable[np.ndarray] | None) -> Motion | None:
        """Returns the driver's motion, tracked where it is given as frames; None without a driver."""
        return driver if driver is None or isinstance(driver, Motion) else reenactor.track(driver)

    def follow(self, head: Head, driver: Motion, size: int) -> Sequence[Landmarks]:
        """Returns the head's landmarks for each frame of a driver.

        Args:
            head: the person who moves.
            driver: the motion to follow.
            size: side of the crop whose pixels the landmarks are in.

        Raises:
            BadInput: the driver has no frame with the number `reference`.
        """
        reference = driver.reference if self.reference == "auto" else int(self.reference)
        driver_faces = driver.cropped(size, within=head.usual)
        return retarget(
            head.landmarks[0], driver_faces, self.motion, self.pose, self.expression, reference, size,
            still_mouth=mouth_is_covered(head),
        )  # fmt: skip

    def mouths(self, driver: Motion | None) -> Sequence[MouthCrop] | None:
        """Returns the driver's mouth of each frame; None unless `mouth` shows them."""
        return driver.mouths if driver and self.mouth == "driver" else None
