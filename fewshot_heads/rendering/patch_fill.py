"""Inpaints holes of an image with a smooth membrane and copied patches.

The image is split as in Bertalmio et al., "Simultaneous Structure and Texture Image Inpainting", CVPR 2003: a smooth
layer (illumination, gradients) is continued by diffusion, and the rest (edges, texture, grain) by copies of patches
of the known region. Patches are found coarse to fine (Wexler et al., "Space-Time Completion of Video", PAMI 2007) with
the propagation of PatchMatch (Barnes et al., SIGGRAPH 2009), for all pixels in parallel.
"""

from __future__ import annotations

import cv2
import numpy as np

_SIZES = (48, 96)  # longer side of the levels at which patches are found, pixels
_PATCH = 5  # side of a patch, pixels
_SMOOTH_FRACTION = 0.02  # standard deviation of the smooth layer, fraction of the longer side
_LOW_LIKENESS = 0.5  # what a difference of the smooth layer counts in a match, beside one of the texture
_DISTANCE_COST = 60.0  # gray levels squared that a copy across the whole image costs
_SEAM_COST = 6.0  # gray levels squared that each neighbor costs that is copied from elsewhere
_MIN_SOURCES = 24  # fewer known patches than these give no texture
_COHERENCE = 0.8  # a neighbor's offset is kept whose distance times this is the best
_SEED_SHARE = 0.3  # of the rim that is filled at a time: the others can go on with its offsets
_AROUND = [(y, x) for y in (-2, -1, 0, 1, 2) for x in (-2, -1, 0, 1, 2) if y or x]
_REUSE_COST = 6.0
_USES = 2
_SWEEPS = 3  # passes of search and vote at the finer level


def fill(
    image: np.ndarray, known: np.ndarray, wanted: np.ndarray | None = None, smoothing: float = _SMOOTH_FRACTION
) -> np.ndarray:
    """Returns the image with its unknown pixels inpainted, float32 [H, W, C].

    Args:
        image: float32 or uint8 [H, W, C], 0 to 255.
        known: bool [H, W].
        wanted: bool [H, W], the unknown pixels that need texture. None wants all of them. The others get the smooth
            layer only.
        smoothing: standard deviation of the smooth layer, fraction of the longer side.
    """
    image = image.astype(np.float32)
    if known.all() or not known.any():
        return image
    smooth = smooth_layer(image, known, smoothing)
    residual = (image - smooth) * known[..., None]
    hole = ~known if wanted is None else wanted & ~known
    offsets = _offsets(residual, smooth, known, hole)
    if offsets is not None:
        residual = np.where(known[..., None], residual, _copied(residual, offsets, hole))
    return np.where(known[..., None], image, smooth + residual)


def smooth_layer(image: np.ndarray, known: np.ndarray, smoothing: float = _SMOOTH_FRACTION) -> np.ndarray:
    """Returns the low frequencies of the known pixels, continued into the hole by diffusion, float32 [H, W, C].

    Args:
        image: float32 [H, W, C].
        known: bool [H, W], at least one pixel True.
    """
    height, width = known.shape
    small, share = _reduced(image, known, 128)
    sigma = smoothing * 128
    weight = cv2.GaussianBlur(share, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    blurred = cv2.GaussianBlur(small * share[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    inside = share > 0.5 if (share > 0.5).any() else share > 0
    low = membrane(blurred / np.maximum(weight, 1e-6)[..., None], inside)
    return cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)


def membrane(image: np.ndarray, known: np.ndarray, steps: int = 24) -> np.ndarray:
    """Returns the image with a harmonic function in the unknown region, float32 [H, W, C].

    Laplace's equation with the known pixels as boundary values, and no flow across the image border. Solved coarse to
    fine, with relaxation steps at each level.

    Args:
        image: float32 [H, W, C].
        known: bool [H, W], at least one pixel True.
        steps: relaxation steps at each level.
    """
    height, width = known.shape
    if known.all():
        return image
    if min(height, width) <= 2:
        return np.where(known[..., None], image, image[known].mean(0))
    half, share = _reduced(image, known, (max(height, width) + 1) // 2)
    coarse = membrane(half, share > 0, steps)
    guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    result = np.where(known[..., None], image, guess)
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    for _ in range(steps):
        mean = cv2.filter2D(result, -1, cross, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)
        result = np.where(known[..., None], image, mean)
    return result


def _reduced(image: np.ndarray, known: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image [h, w, C] averaged over its known pixels, longer side `size`, and their share [h, w]."""
    height, width = known.shape
    scale = min(size / max(height, width), 1.0)
    shape = max(round(width * scale), 1), max(round(height * scale), 1)
    share = cv2.resize(known.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(image * known[..., None], shape, interpolation=cv2.INTER_AREA).reshape(*share.shape, -1)
    return mean / np.maximum(share, 1e-6)[..., None], share


def _offsets(residual: np.ndarray, smooth: np.ndarray, known: np.ndarray, hole: np.ndarray) -> np.ndarray | None:
    """Returns from where each pixel of the hole is copied, int [h, w, 2], rows and columns of the finest level.

    None if the known region has too few whole patches.
    """
    level = None
    for size in _SIZES:
        texture, share = _reduced(residual, known, size)
        low = cv2.resize(smooth, share.shape[::-1], interpolation=cv2.INTER_AREA).reshape(texture.shape)
        part = cv2.resize(hole.astype(np.float32), share.shape[::-1], interpolation=cv2.INTER_AREA)
        finer = _Level(texture, low, share > 0.999, part > 0)
        if finer.sources.size < _MIN_SOURCES:
            continue
        if level is None:
            finer.peel()
        else:
            finer.begin_with(level)
        for _ in range(_SWEEPS):
            finer.copy()
            finer.search()
        level = finer
    return None if level is None else level.offsets()


class _Level:
    """One resolution of the search.

    Attributes:
        sources: int [M], flat indices of the pixels whose patch is known.
        targets: int [N], flat indices of the pixels to fill.
        match: int [h, w], flat index of the pixel that each pixel is copied from; itself where it is known.
    """

    def __init__(self, texture: np.ndarray, low: np.ndarray, known: np.ndarray, hole: np.ndarray):
        self.texture, self.low, self.known = texture * known[..., None], low, known
        self.shape = height, width = known.shape
        whole = cv2.erode(known.astype(np.uint8), np.ones((_PATCH, _PATCH)), borderType=cv2.BORDER_REFLECT)
        self.whole = whole.ravel() > 0
        self.sources = np.flatnonzero(self.whole)
        self.targets = np.flatnonzero(~known & hole)
        self.match = np.arange(height * width)
        self.cost = np.zeros(height * width, np.float32)
        self.random = np.random.default_rng(0)

    def patches(self, values: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Returns the patches around flat indices, float32 [len(where), C * 25]."""
        reach = _PATCH // 2
        padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), "reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH), (0, 1))
        rows, columns = np.divmod(where, self.shape[1])
        return np.ascontiguousarray(windows[rows, columns].reshape(len(where), -1))

    def peel(self) -> None:
        """Fills the hole from its rim inward, each pixel from the patch that is most like what is known around it."""
        side = np.ones((3, 3), np.uint8)
        source, low = self.patches(self.texture, self.sources), self.low.reshape(-1, self.low.shape[-1])
        squares, places = source**2, np.stack(np.divmod(self.sources, self.shape[1]), -1).astype(np.float32)
        inverse = np.full(self.match.size, -1)
        inverse[self.sources] = np.arange(self.sources.size)
        done, hole = self.known.copy(), np.zeros(self.shape, bool)
        hole.flat[self.targets] = True
        channels = self.texture.shape[-1]
        while (hole & ~done).any():
            rim = np.flatnonzero(cv2.dilate(done.astype(np.uint8), side) * (hole & ~done))
            if not rim.size:
                break
            drawn = rim[self.random.random(rim.size) < _SEED_SHARE]
            rim = drawn if drawn.size else rim
            patch = self.patches(self.texture, rim)
            weight = self.patches(np.repeat(done[..., None], channels, -1).astype(np.float32), rim)
            total = weight.sum(1, keepdims=True)
            score = ((weight * patch**2).sum(1, keepdims=True) - 2 * (weight * patch) @ source.T + weight @ squares.T) / total
            score += _LOW_LIKENESS * _squared(low[rim], low[self.sources]) / channels
            here = np.stack(np.divmod(rim, self.shape[1]), -1).astype(np.float32)
            score += _DISTANCE_COST * _squared(here, places) / max(self.shape) ** 2
            best = score.argmin(1)
            value = score[np.arange(rim.size), best]
            y, x = np.divmod(rim, self.shape[1])
            for dy, dx in _AROUND:
                ny, nx = (y + dy).clip(0, self.shape[0] - 1), (x + dx).clip(0, self.shape[1] - 1)
                my, mx = np.divmod(self.match[ny * self.shape[1] + nx], self.shape[1])
                my, mx = (my + y - ny), mx + x - nx
                ok = (my >= 0) & (my < self.shape[0]) & (mx >= 0) & (mx < self.shape[1])
                ok &= (done & hole)[ny, nx]
                column = inverse[np.where(ok, my * self.shape[1] + mx, 0)]
                ok &= column >= 0
                other = np.where(ok, score[np.arange(rim.size), column] * _COHERENCE - 2 * _SEAM_COST, np.inf)
                take = other < value
                best, value = np.where(take, column, best), np.where(take, other, value)
            self.match[rim] = self.sources[best]
            self.texture.reshape(-1, channels)[rim] = self.texture.reshape(-1, channels)[self.match[rim]]
            done.flat[rim] = True

    def begin_with(self, coarser: _Level) -> None:
        """Takes the matches of the coarser level."""
        rows, columns = np.divmod(self.targets, self.shape[1])
        ratio = coarser.shape[0] / self.shape[0], coarser.shape[1] / self.shape[1]
        y = ((rows + 0.5) * ratio[0]).astype(int).clip(max=coarser.shape[0] - 1)
        x = ((columns + 0.5) * ratio[1]).astype(int).clip(max=coarser.shape[1] - 1)
        offsets = coarser.offsets()[y, x] / np.array(ratio)
        self.match[self.targets] = self.nearest_source(rows + offsets[:, 0], columns + offsets[:, 1])

    def nearest_source(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Returns the flat indices of the sources nearest to places."""
        if not hasattr(self, "_labels"):
            blocked = (~self.whole).reshape(self.shape).astype(np.uint8)
            _, labels = cv2.distanceTransformWithLabels(blocked, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
            lookup = np.zeros(labels.max() + 1, int)
            lookup[labels.ravel()[self.sources]] = self.sources
            self._labels = lookup[labels]
        y = np.rint(rows).astype(int).clip(0, self.shape[0] - 1)
        x = np.rint(columns).astype(int).clip(0, self.shape[1] - 1)
        return self._labels[y, x]

    def offsets(self) -> np.ndarray:
        """Returns matches minus places, int [h, w, 2], rows and columns."""
        here = np.arange(self.match.size)
        pairs = [m - h for m, h in zip(np.divmod(self.match, self.shape[1]), np.divmod(here, self.shape[1]), strict=True)]
        return np.stack(pairs, -1).reshape(*self.shape, 2)

    def vote(self) -> None:
        """Sets each pixel of the hole to the weighted mean of the patches that overlap there."""
        reach, channels = _PATCH // 2, self.texture.shape[-1]
        pad = ((reach, reach), (reach, reach))
        offsets = np.pad(self.offsets(), (*pad, (0, 0)), "edge")
        costs = self.cost[self.targets]
        spread = np.percentile(costs, 75) + 1.0
        weights = np.pad(np.exp(-self.cost.reshape(self.shape) / (2 * spread)), pad)
        rows, columns = np.divmod(self.targets, self.shape[1])
        total, mean = np.zeros(len(rows), np.float32), np.zeros((len(rows), channels), np.float32)
        flat = self.texture.reshape(-1, channels)
        for dy in range(_PATCH):
            for dx in range(_PATCH):
                step = offsets[rows + dy, columns + dx]
                y, x = (rows + step[:, 0]), (columns + step[:, 1])
                place = y.clip(0, self.shape[0] - 1) * self.shape[1] + x.clip(0, self.shape[1] - 1)
                weight = weights[rows + dy, columns + dx] * self.known.ravel()[place]
                mean += weight[:, None] * flat[place]
                total += weight
        self.texture.reshape(-1, channels)[self.targets] = mean / np.maximum(total, 1e-6)[:, None]

    def copy(self) -> None:
        flat = self.texture.reshape(-1, self.texture.shape[-1])
        flat[self.targets] = flat[self.match[self.targets]]

    def search(self) -> None:
        """Improves the matches: those of neighbors, then random ones; see PatchMatch."""
        self.all = self.patches(self.texture, np.arange(self.match.size))
        rows, columns = np.divmod(self.targets, self.shape[1])
        self.uses = np.bincount(self.match[self.targets], minlength=self.match.size)
        self.seam = 0.0
        self.cost[self.targets] = self.costs(self.targets, self.match[self.targets])
        self.seam = 0.1 * float(np.median(self.cost[self.targets]))
        for parity in (0, 1):
            chosen = (rows + columns) % 2 == parity
            where, y, x = self.targets[chosen], rows[chosen], columns[chosen]
            best = self.match[where]
            cost = self.cost[where]
            score = cost + self.roughness(y, x, best)
            offsets = self.offsets()
            candidates = []
            for step in (1, 2, 5):
                for dy, dx in ((0, step), (step, 0), (0, -step), (-step, 0)):
                    neighbor = offsets[(y + dy).clip(0, self.shape[0] - 1), (x + dx).clip(0, self.shape[1] - 1)]
                    candidates.append((y + neighbor[:, 0], x + neighbor[:, 1]))
            for radius in max(self.shape) * 0.5 ** np.arange(1, 6):
                by, bx = np.divmod(best, self.shape[1])
                shift = self.random.uniform(-radius, radius, (2, len(where)))
                candidates.append((by + shift[0], bx + shift[1]))
            for cy, cx in candidates:
                place = self.nearest_source(cy, cx)
                new = self.costs(where, place)
                total = new + self.roughness(y, x, place)
                better = total < score
                best, cost, score = np.where(better, place, best), np.where(better, new, cost), np.where(better, total, score)
            self.match[where], self.cost[where] = best, cost

    def costs(self, where: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Returns the distance of patches, mean squared gray levels, with its costs of light and of distance."""
        difference = self.all[where] - self.all[place]
        cost = np.einsum("nd,nd->n", difference, difference) / difference.shape[1]
        low = self.low.reshape(-1, self.low.shape[-1])
        light = low[where] - low[place]
        cost += _LOW_LIKENESS * np.einsum("nd,nd->n", light, light) / light.shape[1]
        (wy, wx), (py, px) = np.divmod(where, self.shape[1]), np.divmod(place, self.shape[1])
        cost += (_REUSE_COST + self.seam) * np.minimum(np.maximum(self.uses[place] - _USES, 0), 4)
        return cost + _DISTANCE_COST / max(self.shape) ** 2 * ((wy - py) ** 2 + (wx - px) ** 2).astype(np.float32)

    def roughness(self, y: np.ndarray, x: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Returns the cost of neighbors that are copied from elsewhere."""
        here, match = place - (y * self.shape[1] + x), self.match.reshape(self.shape)
        cost = np.zeros(len(y), np.float32)
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            ny, nx = (y + dy).clip(0, self.shape[0] - 1), (x + dx).clip(0, self.shape[1] - 1)
            cost += (match[ny, nx] - (ny * self.shape[1] + nx) != here) & ~self.known[ny, nx]
        return cost * (_SEAM_COST + self.seam)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the squared distances of rows, [len(a), len(b)]."""
    return np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0)


def _copied(image: np.ndarray, offsets: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns copies of the image's pixels, zero outside of the hole, float32 [H, W, C].

    A pixel blends the copies of the four nearest cells of `offsets`. Where these agree, the copy is exact, grain included.

    Args:
        image: float32 [H, W, C].
        offsets: int [h, w, 2], cells.
        hole: bool [H, W].
    """
    (height, width), (rows, columns) = hole.shape, offsets.shape[:2]
    y, x = np.nonzero(hole)
    shift = np.rint(offsets * [height / rows, width / columns]).astype(int)
    cy, cx = (y + 0.5) * rows / height - 0.5, (x + 0.5) * columns / width - 0.5
    iy, ix = np.floor(cy).astype(int), np.floor(cx).astype(int)
    fy, fx = (_step(c - i).astype(np.float32) for c, i in ((cy, iy), (cx, ix)))
    flat, result = image.reshape(-1, image.shape[-1]), np.zeros((len(y), image.shape[-1]), np.float32)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            step = shift[(iy + dy).clip(0, rows - 1), (ix + dx).clip(0, columns - 1)]
            place = _inside(y + step[:, 0], height) * width + _inside(x + step[:, 1], width)
            result += (wy * wx)[:, None] * flat[place]
    canvas = np.zeros_like(image)
    canvas[y, x] = result
    return canvas


def _step(x: np.ndarray) -> np.ndarray:
    """Returns a steeper ramp from 0 to 1."""
    return np.clip(2 * x - 0.5, 0, 1)


def _inside(index: np.ndarray, size: int) -> np.ndarray:
    """Returns indices reflected at the borders."""
    index = np.abs(index)
    return np.minimum(index, 2 * size - 2 - index).clip(0, size - 1)
