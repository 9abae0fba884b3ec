"""The training loop: self-reenactment pairs, L1 + content + adversarial terms, EMA, exact resume.

The feed-forward variant of Zakharov et al. (ICCV 2019, sec. 3.2: no match term), with the texture branch.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from fewshot_heads import criteria
from fewshot_heads.datasets.clips import PATCH, Pairs
from fewshot_heads.images import to_uint8, write_image
from fewshot_heads.models import Networks, build
from fewshot_heads.models.blocks import channels_last
from fewshot_heads.models.discriminator import Discriminator
from fewshot_heads.models.generator import Texture
from fewshot_heads.models.texture import normalise, tps_flow

_MOMENTS = (0.0, 0.999)  # Adam's betas of the discriminator, as in the authors' other open code


@dataclass
class Settings:
    """What one run is made of; written beside its checkpoint."""

    steps: int = 6000
    batch: int = 4
    lr: float = 3e-4
    lr_discriminator: float = 2e-4
    ema: float = 0.999
    adversarial_from: float = 0.6  # share of the steps after which the discriminator joins
    texture_dropout: float = 0.04
    seed: int = 0
    weights: dict[str, float] = field(
        default_factory=lambda: {"l1": 10.0, "content": 4.0, "adversarial": 0.05, "feature_matching": 0.5}
    )


class Training:
    """All that changes while training; `state_dict` of it is a complete resume point."""

    def __init__(self, spec: dict[str, Any], identities: int, settings: Settings, vgg: nn.Module, device: Any):
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, device
        self.vgg = channels_last(vgg.to(device))
        self.networks = build(spec).to(device)
        self.ema = copy.deepcopy(self.networks).eval().requires_grad_(False)
        self.discriminator = Discriminator(embedding=spec["embedding"]).to(device)
        # W and w0 of the paper's eq. 5, in one table: row 0 is w0.
        self.w = nn.Embedding(identities + 1, spec["embedding"]).to(device)
        nn.init.uniform_(self.w.weight, -0.1, 0.1)
        self.optimiser = torch.optim.Adam(self.networks.parameters(), lr=settings.lr, betas=(0.5, 0.999))
        critic = [*self.discriminator.parameters(), *self.w.parameters()]
        self.critic_optimiser = torch.optim.Adam(critic, lr=settings.lr_discriminator, betas=_MOMENTS)
        self.step = 0

    _parts = ("networks", "ema", "discriminator", "w", "optimiser", "critic_optimiser")

    def state_dict(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in self._parts}
        return {**parts, "step": self.step, "rng": torch.get_rng_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self._parts:
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]
        torch.set_rng_state(state["rng"].cpu())

    def update(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One generator step and, late in the run, one discriminator step. Returns the terms."""
        s = self.settings
        progress = self.step / s.steps
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.step + 1) / 200)
            group["lr"] = s.lr * warm * (0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2)
        batch = {k: v.to(self.device) for k, v in batch.items()}
        dropped = np.random.default_rng((s.seed, self.step)).random() < s.texture_dropout
        frame = reenact(self.networks, batch, use_texture=not dropped)
        truth, corner = batch["driver"], batch["corner"]
        seen, real = patches(frame, corner), patches(truth, corner)
        terms = {
            "l1": criteria.weighted_l1(frame, truth, batch["region"]),
            "content": criteria.content(self.vgg, seen, real),
        }
        adversarial = progress >= s.adversarial_from and not dropped
        if adversarial:
            stickman = patches(batch["stickman"], corner)
            w = self.w(batch["identity"] + 1) + self.w.weight[:1]
            score, features = self.discriminator(seen, stickman, w.detach())
            with torch.no_grad():
                _, wanted = self.discriminator(real, stickman, w)
            terms["adversarial"] = criteria.hinge_generator(score)
            terms["feature_matching"] = criteria.feature_matching(features, wanted)
        total = sum((s.weights[name] * term for name, term in terms.items()), frame.new_zeros(()))
        if not torch.isfinite(total):
            bad = [name for name, term in terms.items() if not torch.isfinite(term)]
            raise FloatingPointError(f"step {self.step}: {', '.join(bad)} is not finite; lower lr or its weight")
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.networks.parameters(), 10.0)
        self.optimiser.step()
        if adversarial:
            self.critic_optimiser.zero_grad(set_to_none=True)
            w = self.w(batch["identity"] + 1) + self.w.weight[:1]
            real_score, _ = self.discriminator(real, stickman, w)
            fake_score, _ = self.discriminator(seen.detach(), stickman, w)
            critic = criteria.hinge_discriminator(real_score, fake_score)
            critic.backward()
            self.critic_optimiser.step()
            terms["discriminator"] = critic
        self.step += 1
        with torch.no_grad():
            keep = min(s.ema, (1 + self.step) / (10 + self.step))
            for average, current in zip(self.ema.parameters(), self.networks.parameters(), strict=True):
                average.lerp_(current, 1 - keep)
        return {name: float(term.detach()) for name, term in terms.items()}


def reenact(networks: Networks, batch: dict[str, Tensor], use_texture: bool = True) -> Tensor:
    """The networks' result for a batch of `Pairs`: [B, 3, S, S]."""
    embedder, generator = networks.embedder, networks.generator
    style = generator.project(embedder(batch["canvas"][:, None], batch["canvas_stickman"][:, None]).mean(1))
    texture = None
    if use_texture:
        size = generator.size
        flow = tps_flow(normalise(batch["source_points"], size), normalise(batch["driver_points"], size))
        weights = torch.ones_like(flow[:, :1, 0, 0])
        texture = Texture(batch["source"][:, None], flow[:, None], weights, batch["canvas"], batch["opened"])
    return generator(batch["stickman"], style, texture)


def patches(images: Tensor, corner: Tensor, side: int = PATCH) -> Tensor:
    """The side x side squares of images [B, C, H, W] that begin at corner [B, 2] (x, y)."""
    cut = [image[:, y : y + side, x : x + side] for image, (x, y) in zip(images, corner.tolist(), strict=True)]
    return torch.stack(cut)


def train(
    training: Training, pairs: Pairs, out: Path, workers: int = 1, save_seconds: int = 240, look_every: int = 500
) -> None:
    """Runs (or goes on with) `training` until its last step; writes state.pt, log.jsonl and grids into out."""
    s = training.settings
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(json.dumps(asdict(s), indent=1))
    resume = out / "state.pt"
    if resume.exists():
        training.load_state_dict(torch.load(resume, map_location=training.device, weights_only=True))
    rest = Subset(pairs, range(training.step * s.batch, s.steps * s.batch))
    loader = DataLoader(rest, s.batch, num_workers=workers, prefetch_factor=8 if workers else None)
    saved = time.monotonic()
    bar = tqdm(loader, "meta-learn", initial=training.step, total=s.steps, disable=None, unit="step")
    with open(out / "log.jsonl", "a", buffering=1) as log:
        for batch in bar:
            terms = training.update(batch)
            log.write(json.dumps({"step": training.step, **{k: round(v, 5) for k, v in terms.items()}}) + "\n")
            if training.step % look_every == 0:
                _save_grid(training, batch, out / f"grid_{training.step:06d}.jpg")
            if time.monotonic() - saved > save_seconds or training.step == s.steps:
                _save(training, resume)
                saved = time.monotonic()


def _save(training: Training, path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(training.state_dict(), part)
    os.replace(part, path)


@torch.no_grad()
def _save_grid(training: Training, batch: dict[str, Tensor], path: Path) -> None:
    """One row each: source, stickman, result of the EMA networks, truth."""
    batch = {k: v.to(training.device) for k, v in batch.items()}
    rows = [batch["source"], batch["stickman"], reenact(training.ema, batch), batch["driver"]]
    picture = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    write_image(path, to_uint8(picture), overwrite=True)
