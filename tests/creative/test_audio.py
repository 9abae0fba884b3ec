"""Music and speech drive a face: what each sound does to it, in time, within what faces do, and every bad input."""

from __future__ import annotations

import itertools
import sys
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from fewshot_heads import VideoWriter, read_video
from fewshot_heads.cli.config import load_config
from fewshot_heads.creative.audio import main
from fewshot_heads.creative.sound import fit_expression_basis as basis_module
from fewshot_heads.creative.sound.expression_basis import BROWS, EYES, MOUTH, SIZE, MotionBasis, learn
from fewshot_heads.creative.sound.features import analyse
from fewshot_heads.creative.sound.performance import motion_from_audio, parse_reactions
from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD, Pose
from fewshot_heads.media.audio import Audio, read_audio
from fewshot_heads.media.provenance import read_mark

RATE = 22050
LIDS = [37, 38, 40, 41, 43, 44, 46, 47]


def tone(pitch, seconds, rate=RATE, level=0.3):
    return level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def as_sound(samples):
    return Audio("the test", Fraction(0), RATE, samples.astype(np.float32))


def drums(seconds=16.0, pitch=60):
    """A bass drum twice a second, four seconds loud and four quiet, under a steady voice-like chord."""
    time = np.arange(round(seconds * RATE)) / RATE
    loud = np.where(time % 8 < 4, 1.0, 0.15)
    beat = np.exp(-6 * (time % 0.5)) * np.sin(2 * np.pi * pitch * time)
    return loud * 0.6 * beat + tone(440, seconds, level=0.05) + tone(660, seconds, level=0.05)


def performed(sound, *overrides):
    """(curves, motion) by the configuration, as the command line does."""
    config = load_config("audio", overrides)
    curves = analyse(sound, **{key: config[key] for key in ("bass", "vocal", "attack", "release", "gate", "onset_gap")})
    options = {key: config[key] for key in ("seed", "idle_motion_gain", "blinks", "clamp")}
    return curves, motion_from_audio(curves, config["react"], **options)


def offsets(motion):
    """[T, 70, 3]: each frame's face minus the neutral one, in the head's frame."""
    faces = [CanonicalFace.of(landmarks).shape for landmarks in motion.landmarks]
    return np.array(faces[1:]) - faces[0]


def magnitude(motion):
    """[T]: root mean square offset of all points but the lids', which blink."""
    return np.sqrt((np.delete(offsets(motion), LIDS, axis=1) ** 2).sum(2).mean(1))


def openings(motion):
    return np.array([CanonicalFace.of(landmarks).mouth_opening() for landmarks in motion.landmarks[1:]])


# Signals


def test_each_band_hears_its_own_tones():
    low, middle = analyse(as_sound(tone(60, 1))), analyse(as_sound(tone(800, 1)))
    assert low["bass"][5:-5].min() > 0.9 and low["vocal"][15:-5].max() < 0.05
    assert middle["vocal"][5:-5].min() > 0.9 and middle["bass"][15:-5].max() < 0.05


def test_loudness_is_linear():
    rms = analyse(as_sound(np.concatenate([tone(300, 2), tone(300, 2, level=0.15)])), gate=0, release=0.05)["rms"]
    assert rms[20:45].mean() == pytest.approx(1, abs=0.02) and rms[60:95].mean() == pytest.approx(0.5, abs=0.02)


def test_what_is_below_the_gate_is_silence():
    rms = analyse(as_sound(np.concatenate([tone(300, 2), tone(300, 2, level=0.01)])), gate=0.05, release=0.05)["rms"]
    assert rms[75:95].max() < 1e-3


def test_attack_and_release_are_the_seconds_a_curve_takes():
    sound = as_sound(np.concatenate([np.zeros(RATE), tone(300, 1), np.zeros(RATE)]))
    slow = analyse(sound, rate=100, attack=0.2, release=0.4)["rms"]
    assert slow[120] == pytest.approx(1 - np.exp(-1), abs=0.08)
    assert slow[240] / slow[200] == pytest.approx(np.exp(-1), abs=0.08)


def test_brightness_follows_the_center_of_the_spectrum():
    curve = analyse(as_sound(np.concatenate([tone(300, 2), tone(3000, 2)])))["centroid"]
    assert curve[10:40].max() < 0.1 and curve[60:90].min() > 0.9


def test_onsets_pulse_at_the_notes_and_never_too_often():
    time = np.arange(8 * RATE) / RATE
    sound = as_sound(0.5 * np.exp(-20 * (time % 1)) * np.sin(2 * np.pi * 300 * time))
    curve = analyse(sound, rate=50, onset_gap=0.5)["onset"]
    peaks = np.flatnonzero(curve > 0.9) / 50
    assert len(peaks) and np.abs(peaks - peaks.round()).max() < 0.08 and {1, 2, 3, 4, 5, 6, 7} <= set(peaks.round())
    sparse = np.flatnonzero(analyse(sound, rate=50, onset_gap=2)["onset"] > 0.9) / 50
    assert np.diff(sorted(set(sparse.round()))).min() >= 2


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), 12.5])
def test_there_is_a_value_a_frame_until_the_sound_ends(rate):
    assert len(analyse(as_sound(tone(300, 1.99)), rate)["rms"]) == int(np.ceil(1.99 * float(rate)))


# The basis


def test_the_components_are_orthonormal_and_the_commonest_come_first():
    basis = MotionBasis.load()
    flat = basis.components.reshape(SIZE, -1)
    assert np.allclose(flat @ flat.T, np.eye(SIZE), atol=2e-3)
    assert (np.diff(basis.deviations) <= 0).all() and basis.deviations[-1] > 0


def test_steering_changes_one_measure_by_its_deviation_and_no_other():
    basis, measures = MotionBasis.load(), [MOUTH, BROWS, EYES]
    faces = basis.faces(basis.steer(measures))
    changes = np.array([[(measure * face).sum() for measure in measures] for face in faces])
    random = basis.faces(np.random.default_rng(0).standard_normal((20000, SIZE)))
    expected = [(random * measure).sum((1, 2)).std() for measure in measures]
    assert np.allclose(changes, np.diag(expected), atol=0.02 * max(expected))


def test_the_play_leaves_mouth_brows_and_lids_as_they_are():
    basis, measures = MotionBasis.load(), [MOUTH, BROWS, EYES]
    z, spread = basis.free_components(measures, 6)
    faces = basis.faces(z)
    assert np.abs([[(measure * face).sum() for measure in measures] for face in faces]).max() < 1e-9
    assert np.allclose(np.linalg.norm(faces.reshape(6, -1), axis=1), spread, rtol=0.01)


def test_a_basis_is_learned_from_clips_and_comes_back_from_its_file(tmp_path):
    random = np.random.default_rng(0)
    wide = np.zeros((70, 3))
    wide[[48, 54], 0] = [-0.1, 0.1]

    def clip(shape):
        faces = MEAN_HEAD + shape + random.standard_normal((60, 1, 1)) * wide
        return np.array([Pose(np.eye(3), np.zeros(3), 90).apply(face) for face in faces], np.float32)

    basis = learn([clip(0.02 * random.standard_normal((70, 3))) for _ in range(4)])
    assert abs((basis.components[0] * wide).sum()) / np.linalg.norm(wide) > 0.99
    assert basis.deviations[0] == pytest.approx(np.linalg.norm(wide), rel=0.15)
    basis.save(tmp_path / "basis.json")
    assert np.allclose(MotionBasis.load(tmp_path / "basis.json").components, basis.components, atol=1e-4)


def test_a_basis_that_cannot_be_made_or_read_says_how(tmp_path, capsys):
    with pytest.raises(BadInput, match="people who face the camera"):
        learn([])
    (tmp_path / "not.json").write_text("{}")
    with pytest.raises(
        BadInput, match=r"not\.json: not a motion basis; make one with python -m fewshot_heads.*fit_expression_basis"
    ):
        MotionBasis.load(tmp_path / "not.json")
    assert basis_module.main([str(tmp_path), "-o", str(tmp_path / "b.json")]) == 1
    assert "no prepared data" in capsys.readouterr().err and not (tmp_path / "b.json").exists()


# Sound to motion


def test_expression_follows_the_bass():
    curves, motion = performed(as_sound(drums()))
    assert np.corrcoef(curves["bass"], magnitude(motion))[0, 1] >= 0.8


def test_loud_passages_are_livelier_than_quiet_ones():
    _, motion = performed(as_sound(drums()))
    loud = np.arange(len(motion) - 1) / 25 % 8 < 4
    assert magnitude(motion)[loud].mean() > 1.5 * magnitude(motion)[~loud].mean()


def test_silence_leaves_a_calm_face_of_constant_play_with_closed_lips():
    curves, motion = performed(as_sound(np.zeros(4 * RATE)))
    assert not any(curve.any() for curve in curves.values())
    assert np.ptp(magnitude(motion)) < 0.2 * magnitude(motion).mean() and np.abs(openings(motion)).max() < 0.01
    assert magnitude(motion).mean() < 0.5 * magnitude(performed(as_sound(drums()))[1]).mean()


def test_without_liveliness_and_blinks_silence_is_a_still():
    _, motion = performed(as_sound(np.zeros(RATE)), "idle_motion_gain=0", "blinks=0")
    assert np.ptp([landmarks.points for landmarks in motion.landmarks], axis=0).max() < 1e-3


def test_speech_opens_the_mouth_and_its_pauses_close_the_lips():
    hiss = 0.002 * np.random.default_rng(0).standard_normal(4 * RATE)
    time = np.arange(4 * RATE) / RATE
    syllables = (time % 2 < 1) * np.abs(np.sin(2 * np.pi * 2 * time)) * tone(600, 4)
    curves, motion = performed(as_sound(syllables + hiss), "mode=speech")
    mouth, pause = openings(motion), np.arange(100) / 25 % 2 > 1.4
    assert np.abs(mouth[pause]).max() < 0.01 and mouth[~pause].max() > 0.12
    assert np.corrcoef(mouth, curves["vocal"])[0, 1] > 0.9


def test_no_expression_leaves_what_faces_do():
    loud = ("react.bass=expression:50", "react.rms=mouth:9,brows:9")
    basis, neutral = MotionBasis.load(), np.linalg.norm
    calm, wild = (offsets(performed(as_sound(drums(4)), *loud, "blinks=0", "react.onset=off", f"clamp={limit}")[1])
                  for limit in (0.5, 2.5))  # fmt: skip
    for faces, limit in ((calm, 0.5), (wild, 2.5)):
        z = faces.reshape(len(faces), -1) @ basis.components.reshape(SIZE, -1).T / basis.deviations
        assert np.abs(z[:, :4]).max() < limit * 1.15
    assert neutral(wild) > 3 * neutral(calm)


def test_a_blink_closes_both_eyes_wholly():
    pulse = {"onset": np.array([0.0, 0.5, 1.0, 0.0])}
    motion = motion_from_audio(pulse, {"onset": "blink:1"}, idle_motion_gain=0, blinks=0)
    eyes = [CanonicalFace.of(landmarks).eye_opening(slice(36, 42)) for landmarks in motion.landmarks]
    assert eyes[0] == pytest.approx(eyes[1], abs=1e-3) and eyes[3] < 0.02 and eyes[1] > eyes[2] > eyes[3]


@pytest.mark.parametrize(("target", "axis", "sign"), [("nod", 1, 1), ("turn", 0, 1)])
def test_head_targets_move_the_nose_where_they_say(target, axis, sign):
    motion = motion_from_audio({"rms": np.array([1.0])}, {"rms": target}, idle_motion_gain=0, blinks=0)
    still, moved = (landmarks.points[30] - landmarks.points[27] for landmarks in motion.landmarks)
    assert sign * (moved - still)[axis] > 1


def test_the_same_seed_moves_alike_and_another_does_not():
    sound = as_sound(drums(2))
    first, again, other = (
        np.array([landmarks.points for landmarks in performed(sound, f"seed={seed}")[1].landmarks])
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and np.abs(first - other).max() > 0.5


def test_no_frame_jumps():
    _, motion = performed(as_sound(tone(60, 6)), "blinks=0", "react.onset=off")
    points = np.array([landmarks.points for landmarks in motion.landmarks[10:-10]]) / motion.landmarks[0].size
    assert np.linalg.norm(np.diff(points, 2, axis=0), axis=2).max() < 0.01


# The mapping


def test_a_mapping_takes_several_targets_and_off():
    assert parse_reactions({"onset": "blink, nod:0.3", "bass": "off"}) == [
        ("onset", "blink", 1.0),
        ("onset", "nod", 0.3),
    ]


@pytest.mark.parametrize(
    ("react", "words"),
    [
        ({"bas": "mouth"}, "unknown 'bas'.*did you mean 'bass'"),
        ({"bass": "expresion:1"}, "react.bass=expresion:1: unknown 'expresion'.*did you mean 'expression'"),
        ({"bass": "mouth:big"}, "'big' is not a number from -100 to 100; write mouth:1.0"),
        ({"bass": "mouth:nan"}, "'nan' is not a number"),
    ],
)
def test_a_mapping_that_does_not_fit_names_the_nearest_word(react, words):
    with pytest.raises(UsageError, match=words):
        parse_reactions(react)


# Reading sound


def write_sound(path, samples, rate=44100, layout="mono", codec=None):
    """samples float [channels, N]."""
    codec = codec or {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".ogg": "libopus", ".flac": "flac"}[path.suffix]
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=rate, layout=layout)
        for at in range(0, samples.shape[1], 1024):
            part = np.ascontiguousarray(samples[:, at : at + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def click(rate, channels=1, at=0.5, seconds=1.0):
    samples = np.zeros((channels, round(rate * seconds)))
    samples[:, round(rate * at) :] = tone(500, seconds - at, rate, 0.5)
    return samples


def begins(samples, rate):
    return np.flatnonzero(np.abs(samples) > 0.1)[0] / rate


@pytest.mark.parametrize(
    ("name", "rate", "layout", "channels"),
    [
        ("a.wav", 8000, "mono", 1),
        ("a.wav", 96000, "5.1", 6),
        ("a.mp3", 44100, "stereo", 2),
        ("a.ogg", 48000, "stereo", 2),
    ],
)
def test_any_file_is_read_in_time(tmp_path, name, rate, layout, channels):
    sound = read_audio(write_sound(tmp_path / name, click(rate, channels), rate, layout))
    assert sound.rate == RATE and begins(sound.samples, RATE) == pytest.approx(0.5, abs=0.006)
    assert sound.seconds == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("kind", ["mp4", "webm"])
@pytest.mark.parametrize("source", ["a.wav", "a.mp3", "a.ogg"])
def test_a_files_sound_comes_along_in_time_with_the_pictures(tmp_path, kind, source):
    sound = read_audio(write_sound(tmp_path / source, click(48000, 2), 48000, "stereo"))
    with VideoWriter(tmp_path / f"out.{kind}", 25, audio=sound) as out:
        for _ in range(25):
            out.add(np.zeros((48, 64, 3), np.uint8))
    heard = read_audio(tmp_path / f"out.{kind}")
    delay = begins(heard.samples, RATE) + float(heard.start) - begins(sound.samples, RATE)
    assert abs(delay) < 0.01 and heard.seconds == pytest.approx(1, abs=0.06)
    assert read_video(tmp_path / f"out.{kind}").has_audio


@pytest.mark.parametrize("count", [1, 2, 500])
def test_the_shortest_sound_makes_one_frame(tmp_path, count):
    sound = read_audio(write_sound(tmp_path / "a.wav", np.full((1, count), 0.5)))
    assert len(performed(sound)[1]) == 2


def test_an_unreadable_file_is_named_in_one_line(tmp_path):
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(4000))
    (tmp_path / "empty.wav").write_bytes(b"")
    with VideoWriter(tmp_path / "mute.mp4", 25) as out:
        out.add(np.zeros((48, 64, 3), np.uint8))
    for name, words in (
        ("noise.mp3", "sound"), ("empty.wav", "the file is empty"), ("mute.mp4", "there is no sound in this file"),
        ("gone.wav", "no such file"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=f"{name}: .*{words}"):
            read_audio(tmp_path / name)


@pytest.mark.filterwarnings("ignore::scipy.io.wavfile.WavFileWarning")
def test_samples_that_are_no_numbers_are_silence(tmp_path):
    samples = np.full(RATE, 0.5, np.float32)
    samples[RATE // 2 :: 100] = np.nan
    samples[RATE // 4], samples[RATE // 4 + 50] = np.inf, 1e30
    wavfile.write(tmp_path / "a.wav", RATE, samples)
    with pytest.warns(UserWarning, match="samples that are no numbers"):
        sound = read_audio(tmp_path / "a.wav", RATE)
    assert len(sound.samples) == RATE and np.abs(sound.samples).max() <= 100
    assert all(np.isfinite(curve).all() for curve in analyse(sound).values())


def test_a_sound_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fewshot_heads.media.audio.MAX_SECONDS", 60)
    (tmp_path / "a.wav").write_bytes(b"")
    wavfile.write(tmp_path / "a.wav", 1, np.zeros(100, np.int16))  # one sample a second
    with pytest.raises(BadInput, match="a.wav: lasts over 1 minutes"):
        read_audio(tmp_path / "a.wav")


def test_a_long_sound_is_analysed_in_stretches(monkeypatch):
    sound = as_sound(tone(300, 3) + np.random.default_rng(0).normal(0, 0.1, 3 * RATE))
    whole = analyse(sound)
    monkeypatch.setattr("fewshot_heads.creative.sound.features._STRETCH_WINDOWS", 16)
    for name, curve in analyse(sound).items():
        np.testing.assert_allclose(curve, whole[name], atol=1e-5)


def test_the_memory_of_an_analysis_is_a_few_times_that_of_the_sound():
    sound = as_sound(np.random.default_rng(0).normal(0, 0.1, 240 * RATE).astype(np.float32))
    analyse(as_sound(tone(300, 1)))  # what librosa keeps
    tracemalloc.start()
    analyse(sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * sound.samples.nbytes  # the whole spectrum: 12 times


@pytest.mark.parametrize("options", [{"blinks": 1e8}, {"clamp": float("inf")}, {"idle_motion_gain": float("nan")}])
def test_a_motion_out_of_range_is_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        motion_from_audio(analyse(as_sound(tone(300, 0.5))), {}, **options)


@pytest.mark.parametrize("amount", ["1e300", "nan", "-inf", "much"])
def test_an_amount_out_of_range_is_refused(amount):
    with pytest.raises(UsageError, match=f"'{amount}' is not a number from -100 to 100"):
        parse_reactions({"rms": f"mouth:{amount}"})


def test_without_librosa_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(BadInput, match=r"pip install 'fewshot_heads\[creative\]'"):
        analyse(as_sound(tone(300, 0.2)))


@pytest.mark.parametrize("options", [{"bass": [150, 20]}, {"vocal": [1]}, {"attack": -1}, {"gate": 1.0}])
def test_an_analysis_that_makes_no_sense_is_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        analyse(as_sound(tone(300, 0.2)), **options)


# The command line


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def song(tmp_path):
    return write_sound(tmp_path / "song.wav", drums(0.4)[None], RATE)


def fails(capsys, *arguments, code=1):
    assert main([str(argument) for argument in arguments]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and "Traceback" not in "".join(lines)
    return lines[-1]


def test_the_main_job(mona_path, mona, song, capsys, tmp_path):
    assert main([str(mona_path), "song.wav"]) == 0
    assert capsys.readouterr().out.strip() == "mona_lisa_song.mp4"
    video = read_video("mona_lisa_song.mp4")
    assert (video.rate, video.width, video.height) == (25, mona.shape[1] // 2 * 2, mona.shape[0] // 2 * 2)
    assert len(list(video)) == 10 and video.has_audio
    assert read_mark("mona_lisa_song.mp4")["digital_source_type"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mona_lisa_song.mp4", "song.wav"]


def test_a_preview_is_a_picture_of_curves_and_moments(mona_path, song, tmp_path):
    assert main([str(mona_path), "song.wav", "--preview", "mode=speech"]) == 0
    picture = Image.open("mona_lisa_song.png")
    assert picture.size == (1024, 6 * 64 + 2 * 256) and read_mark("mona_lisa_song.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mona_lisa_song.png", "song.wav"]


def test_a_silent_file_gives_a_calm_face_and_a_warning(mona_path, caplog, reenactor, tmp_path):
    write_sound(tmp_path / "hush.wav", np.zeros((1, 4000)))
    reenactor.embed([mona_path]).save("mona.safetensors")
    assert main(["mona.safetensors", "hush.wav", "paste_back=false", "rate=10"]) == 0
    assert "hush.wav: silent; the face stays calm" in caplog.text
    assert len(list(read_video("mona_hush.mp4"))) == 1


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["{mona}", "song.wav", "react.bas=mouth:1"], "did you mean 'react.bass'", 2),
        (["{mona}", "song.wav", "react.bass=mouht:1"], "did you mean 'mouth'", 2),
        (["{mona}", "song.wav", "mode=speach"], "did you mean 'speech'", 2),
        (["{mona}", "song.wav", "clamp=-1"], "clamp=-1", 2),
        (["{mona}"], "give a portrait and a sound", 2),
        (["{mona}", "song.wav", "-o", "song.wav"], "song.wav", 1),
        (["{mona}", "song.wav", "-o", "there.mp4"], "there.mp4: exists already", 1),
        (["{mona}", "song.wav", "-o", "a.mp4", "--preview"], "a.mp4: unknown kind of file", 1),
        (["{mona}", "there.mp4"], "there.mp4: ", 1),
        (["grey.png", "song.wav"], "grey.png: no face found", 1),
    ],
)
def test_what_a_user_can_do_wrong(capsys, mona_path, song, tmp_path, arguments, words, code):
    Image.new("RGB", (200, 200), "grey").save("grey.png")
    (tmp_path / "there.mp4").write_text("nothing to hear")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert words in fails(capsys, *(argument.format(mona=mona_path) for argument in arguments), code=code)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_file_without_content_is_told_before_the_sound_is_analysed(capsys, mona_path, song, tmp_path, monkeypatch):
    monkeypatch.setattr("fewshot_heads.creative.sound.features.analyse", None)
    for name in ("empty.jpg", "absent.jpg"):
        (tmp_path / "empty.jpg").touch()
        assert f"{name}: " in fails(capsys, name, "song.wav")
        assert f"{name}: " in fails(capsys, mona_path, "song.wav", f"target_identity={name}")


def test_the_help_names_every_signal_target_and_key(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    words = itertools.chain(
        ["react.bass=", "expression:", "mode=", "onset_gap=", "idle_motion_gain="], ("tilt", "centroid")
    )
    assert all(word in out for word in words)


def test_harmony_drifts_from_home_and_back():
    home, away = (sum(tone(pitch, 12) for pitch in chord) for chord in ((220, 277.2, 329.6), (233.1, 293.7, 349.2)))
    curve = analyse(as_sound(np.concatenate([home, home, away, home])), 25)["chroma"]
    at_home, far, back = curve[5 * 25 : 20 * 25], curve[28 * 25 : 34 * 25], curve[44 * 25 :]
    assert at_home.max() < 0.35 and back.max() < 0.35 and far.min() > 0.8
    assert np.abs(np.diff(curve)).max() < 0.05
    assert not analyse(as_sound(np.zeros(RATE)), 25)["chroma"].any()
    hiss = 10 ** (-66 / 20) * np.random.default_rng(0).standard_normal(len(home))
    paused = analyse(as_sound(np.concatenate([home, away, hiss, home])), 25)["chroma"]
    assert paused[30 * 25 : 33 * 25].max() < 0.2, "in a pause the face comes home"


def test_a_sound_leads_to_somebody_else_only_where_it_is_asked_to(mona_path, song, reenactor, driver_frames):
    reenactor.embed([driver_frames[0]]).save("woman.safetensors")
    plain_run = [str(mona_path), "song.wav", "rate=2", "paste_back=false"]
    assert main([*plain_run, "-o", "same.mp4"]) == 0
    assert main([*plain_run, "-o", "other.mp4", "react.rms=identity:1", "target_identity=woman.safetensors"]) == 0
    same, other = (np.stack(list(read_video(name))).astype(int) for name in ("same.mp4", "other.mp4"))
    assert same.shape == other.shape
    apart = np.abs(same - other).mean((1, 2, 3))
    assert apart.max() > 5
    assert main([*plain_run, "-o", "x.mp4", "react.rms=identity:1", "target_identity=nobody.jpg"]) == 1
