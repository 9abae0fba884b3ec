"""Finds for each pixel of a hole the known pixel to copy, at one resolution.

The matches minimize the distance of patches (Wexler et al., "Space-Time Completion of Video", PAMI 2007) plus the seams
between copies from different places (Pritch et al., "Shift-Map Image Editing", ICCV 2009). The search propagates
neighbors' matches and draws random ones (Barnes et al., "PatchMatch", SIGGRAPH 2009), for half of the pixels at once.
A penalty for pixels that are copied often (Kaspar et al., "Self Tuning Texture Optimization", Eurographics 2015) keeps
grain and brush strokes. Without the penalty, smooth parts of the texture repeat.
"""

from __future__ import annotations

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

_PATCH_PIXELS = 5  # side of a patch
# Costs, in squared gray levels, beside the mean squared distance of two patches.
_LIGHT_COST = 0.5  # for each squared level by which the smooth layer differs
_DISTANCE_COST = 300.0  # of a copy across the whole image, growing with the square of the distance
_SEAM_COST = 12.0  # for each of four neighbors that is copied from another place
_SEAM_COST_RATIO = 0.1  # added to it: a share of the median cost, so strong textures have large pieces too
_REUSE_COST = 6.0  # for each use of a pixel above `_FREE_USES`, up to `_MOST_USES`
_FREE_USES, _MOST_USES = 2, 4
_ODDITY_COST = 0.03  # for each squared level of a copied patch, so single objects are not repeated
_COHERENCE = 0.8  # while peeling, a neighbor's match is kept if this share of its distance is less than the best one
_PEEL_FRACTION = 0.3  # of the hole's rim that is filled at once. The rest can then follow these matches
_NEIGHBOR_STEPS = (1, 2, 5)  # pixels from where matches are propagated
_RANDOM_RADII = 5  # random matches for each pixel, the first within half of the image, then halving
_FOUR = ((0, 1), (1, 0), (0, -1), (-1, 0))


class PatchSearch:
    """Matches at one resolution.

    Attributes:
        shape: height and width, pixels.
        sources: int [M], flat indices of the pixels with a known patch.
        targets: int [N], flat indices of the pixels to fill.
        match: int [H * W], flat index of the pixel that each pixel copies. A known pixel copies itself.
    """

    def __init__(self, texture: np.ndarray, light: np.ndarray, known: np.ndarray, hole: np.ndarray):
        """Prepares the search.

        Args:
            texture: float32 [H, W, C], what is compared and copied. Only known pixels are read.
            light: float32 [H, W, C], the smooth layer.
            known: bool [H, W].
            hole: bool [H, W], pixels to fill. Known ones are left out.
        """
        self.shape = known.shape
        self._channels = texture.shape[-1]
        self._texture = (texture * known[..., None]).reshape(-1, self._channels)
        self._light = light.reshape(-1, self._channels)
        self._known, self._hole = known, hole & ~known
        window = np.ones((_PATCH_PIXELS, _PATCH_PIXELS), np.uint8)
        whole = cv2.erode(known.astype(np.uint8), window, borderType=cv2.BORDER_REFLECT) > 0
        self.sources, self.targets = np.flatnonzero(whole), np.flatnonzero(self._hole)
        self.match = np.arange(known.size)
        self._nearest_source = self._nearest(whole) if self.sources.size else self.match
        self._random = np.random.default_rng(0)

    def offsets(self) -> np.ndarray:
        """Returns matches minus places, int [H, W, 2], rows and columns."""
        y, x = np.divmod(self.match, self.shape[1])
        here_y, here_x = np.divmod(np.arange(self.match.size), self.shape[1])
        return np.stack([y - here_y, x - here_x], -1).reshape(*self.shape, 2)

    @threadpool_limits.wrap(
        limits=1, user_api="blas"
    )  # idle threads of OpenBLAS occupy a core: .85 s instead of .1 on one
    def peel(self) -> None:
        """Finds first matches from the hole's rim inward, by the part of each patch that is known or filled.

        A pixel prefers the matches of filled neighbors (Ashikhmin, "Synthesizing Natural Textures", I3D 2001).
        """
        source = self._patches(self._texture, self.sources)
        squares, places = source**2, np.stack(np.divmod(self.sources, self.shape[1]), -1).astype(np.float32)
        column_of = np.full(self.match.size, -1)
        column_of[self.sources] = np.arange(self.sources.size)
        done, filled = self._known.copy(), np.zeros(self.match.size, bool)
        around = np.ones((3, 3), np.uint8)
        while True:
            rim = np.flatnonzero(cv2.dilate(done.astype(np.uint8), around) * (self._hole & ~done))
            if not rim.size:
                return
            drawn = rim[self._random.random(rim.size) < _PEEL_FRACTION]
            rim = drawn if drawn.size else rim
            patch = self._patches(self._texture, rim)
            weight = np.tile(self._patches(done.reshape(-1, 1), rim), (1, self._channels))
            score = (weight * patch**2).sum(1, keepdims=True) - 2 * (weight * patch) @ source.T + weight @ squares.T
            score /= weight.sum(1, keepdims=True)
            score += _ODDITY_COST * squares.mean(1)
            score += _LIGHT_COST / self._channels * _squared_distances(self._light[rim], self._light[self.sources])
            here = np.stack(np.divmod(rim, self.shape[1]), -1).astype(np.float32)
            score += _DISTANCE_COST / max(self.shape) ** 2 * _squared_distances(here, places)
            each = np.arange(rim.size)
            best = score.argmin(1)
            value = score[each, best]
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    neighbor, valid = self._shifted(rim, dy, dx)
                    place, inside = self._shifted(self.match[neighbor], -dy, -dx)
                    column = column_of[place]
                    valid &= inside & filled[neighbor] & (column >= 0)
                    other = np.where(valid, _COHERENCE * score[each, column] - 2 * _SEAM_COST, np.inf)
                    best, value = np.where(other < value, column, best), np.minimum(other, value)
            self.match[rim] = self.sources[best]
            self._texture[rim] = self._texture[self.match[rim]]
            done.flat[rim] = filled[rim] = True

    def begin_with(self, coarser: PatchSearch) -> None:
        """Takes the matches of a coarser resolution."""
        rows, columns = np.divmod(self.targets, self.shape[1])
        ratio = np.array(coarser.shape) / self.shape
        y = np.minimum(((rows + 0.5) * ratio[0]).astype(int), coarser.shape[0] - 1)
        x = np.minimum(((columns + 0.5) * ratio[1]).astype(int), coarser.shape[1] - 1)
        offsets = np.rint(coarser.offsets()[y, x] / ratio).astype(int)
        self.match[self.targets] = self._source_at(rows + offsets[:, 0], columns + offsets[:, 1])

    def improve(self, sweeps: int) -> None:
        """Copies the texture by the current matches and searches better ones, several times."""
        rows, columns = np.divmod(self.targets, self.shape[1])
        halves = [self.targets[(rows + columns) % 2 == parity] for parity in (0, 1)]
        for _ in range(sweeps):
            self._texture[self.targets] = self._texture[self.match[self.targets]]
            patches = self._patches(self._texture, np.arange(self.match.size))
            uses = np.bincount(self.match[self.targets], minlength=self.match.size)
            reuse = np.minimum(np.maximum(uses - _FREE_USES, 0), _MOST_USES).astype(np.float32)
            typical = float(np.median(self._costs(patches, self.targets, self.match[self.targets])))
            seam = _SEAM_COST + _SEAM_COST_RATIO * typical
            reuse *= _REUSE_COST + _SEAM_COST_RATIO * typical
            reuse += _ODDITY_COST * (patches**2).mean(1)
            for half in halves:
                self._search(half, patches, seam, reuse)

    def _search(self, where: np.ndarray, patches: np.ndarray, seam: float, reuse: np.ndarray) -> None:
        """Improves the matches of pixels that are not direct neighbors."""
        y, x = np.divmod(where, self.shape[1])
        beside = [self._shifted(where, *step)[0] for step in _FOUR]
        shifts = [np.where(self._hole.flat[cell], self.match[cell] - cell, self.match.size) for cell in beside]
        best = self.match[where]

        def scores(some: np.ndarray | slice, place: np.ndarray) -> np.ndarray:
            shift = place - where[some]
            torn = sum(((each[some] != shift) & (each[some] != self.match.size)).astype(np.float32) for each in shifts)
            return self._costs(patches, where[some], place) + reuse[place] + seam * torn

        score = scores(slice(None), best)

        def consider(rows: np.ndarray, columns: np.ndarray) -> None:
            place = self._source_at(rows, columns)
            new = np.flatnonzero(place != best)
            if new.size:
                value = scores(new, place[new])
                better = value < score[new]
                chosen = new[better]
                best[chosen], score[chosen] = place[chosen], value[better]

        for step in _NEIGHBOR_STEPS:
            for dy, dx in _FOUR:
                neighbor, _ = self._shifted(where, dy * step, dx * step)
                rows, columns = np.divmod(self.match[neighbor], self.shape[1])
                neighbor_rows, neighbor_columns = np.divmod(neighbor, self.shape[1])
                consider(y + rows - neighbor_rows, x + columns - neighbor_columns)
        for halving in range(1, _RANDOM_RADII + 1):
            radius = max(self.shape) / 2**halving
            shift = self._random.uniform(-radius, radius, (2, len(where))).astype(int)
            rows, columns = np.divmod(best, self.shape[1])
            consider(rows + shift[0], columns + shift[1])
        self.match[where] = best

    def _costs(self, patches: np.ndarray, where: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Returns the costs of copying `place` to `where`, without seams, float32 [len(where)]."""
        difference = patches[where] - patches[place]
        cost = np.einsum("nd,nd->n", difference, difference) / difference.shape[1]
        light = self._light[where] - self._light[place]
        cost += _LIGHT_COST / self._channels * np.einsum("nd,nd->n", light, light)
        (y, x), (there_y, there_x) = np.divmod(where, self.shape[1]), np.divmod(place, self.shape[1])
        return cost + np.float32(_DISTANCE_COST / max(self.shape) ** 2) * ((y - there_y) ** 2 + (x - there_x) ** 2)

    def _patches(self, values: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Returns the patches of values [H * W, C] around flat indices, float32 [len(where), C * 25], C first."""
        reach = _PATCH_PIXELS // 2
        image = values.reshape(*self.shape, -1).astype(np.float32)
        padded = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
        padded = padded.reshape(padded.shape[0], padded.shape[1], -1)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (_PATCH_PIXELS, _PATCH_PIXELS), (0, 1))
        return windows[np.divmod(where, self.shape[1])].reshape(len(where), -1)

    def _shifted(self, where: np.ndarray, dy: int, dx: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns flat indices moved by rows and columns, kept inside, and whether they were inside."""
        y, x = np.divmod(where, self.shape[1])
        return self._flat(y + dy, x + dx), (
            (y + dy >= 0) & (y + dy < self.shape[0]) & (x + dx >= 0) & (x + dx < self.shape[1])
        )

    def _flat(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns the flat indices of rows and columns, kept inside."""
        height, width = self.shape
        return np.minimum(np.maximum(y, 0), height - 1) * width + np.minimum(np.maximum(x, 0), width - 1)

    def _source_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns the sources nearest to rows and columns, flat indices."""
        return self._nearest_source[self._flat(y, x)]

    def _nearest(self, whole: np.ndarray) -> np.ndarray:
        """Returns for each pixel the nearest source, flat indices [H * W]."""
        _, labels = cv2.distanceTransformWithLabels(
            (~whole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        source_of = np.zeros(labels.max() + 1, int)
        source_of[labels.ravel()[self.sources]] = self.sources
        return source_of[labels].ravel()


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the squared distances between rows, float32 [len(a), len(b)]."""
    return np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0)
