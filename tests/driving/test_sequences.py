"""Sequences as long as a video, of which no item stays in memory."""

import errno
import pickle
import tracemalloc
from itertools import repeat

import numpy as np
import pytest

from fewshot_heads.driving import sequences
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.sequences import LazySequence, spooled
from fewshot_heads.driving.tracking import track
from fewshot_heads.errors import OutputError
from tests.faces import face


@pytest.fixture
def on_disk(monkeypatch):
    """Nothing waits in memory for the temporary file to be worth while."""
    monkeypatch.setattr(sequences, "_MAX_BYTES_IN_MEMORY", 1)


def squares(count):
    return LazySequence(lambda i: i * i, range(count))


@pytest.mark.parametrize("make", [squares, lambda count: spooled(i * i for i in range(count))])
def test_a_sequence_reads_like_a_list(make, on_disk):
    expected, sequence = [0, 1, 4, 9, 16], make(5)
    assert len(sequence) == 5 and list(sequence) == expected and list(reversed(sequence)) == expected[::-1]
    assert sequence[-1] == 16 and sequence[np.int64(2)] == 4 and sequence[1:3] == [1, 4]
    assert sequence[::-2] == [16, 4, 0] and 9 in sequence and sequence.index(9) == 3 and not make(0)
    assert list(pickle.loads(pickle.dumps(sequence))) == expected
    with pytest.raises(IndexError):
        sequence[5]


def test_a_full_disk_is_one_line(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sequences.pickle, "dump", full)
    with pytest.raises(OutputError, match=r"temporary files \(TMPDIR\): the disk is full"):
        spooled([1])


class Still:
    """A detector that sees one face everywhere."""

    def detect(self, image):
        return [face(surface=0)]

    def glance(self, image):
        return face(surface=0)

    def follow(self, image, last):
        return None


def test_memory_does_not_grow_with_the_driver(on_disk):
    """A face and its mouth take 9 kB; a few numbers of each frame may stay."""

    def peak_bytes(count):
        tracemalloc.start()
        motion = track(repeat(np.full((256, 256, 3), 90, np.uint8), count), [Still()], pixels=True)
        moved = retarget(face(surface=0), motion.cropped(256), side=256)
        assert sum(1 for _ in zip(moved, motion.mouths, strict=True)) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(3)
    assert peak_bytes(200) - peak_bytes(50) < 150 * 1000
