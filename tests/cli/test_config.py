import inspect
import os
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from fewshot_heads.cli.conf_files import CONF_DIR, describe
from fewshot_heads.cli.config import RULES, compose_config, load_config
from fewshot_heads.cli.parser import make_parser
from fewshot_heads.cli.renamed import KEYS
from fewshot_heads.datasets.episodes import EpisodeSettings
from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.landmarks.face_alignment import FaceAlignmentDetector
from fewshot_heads.landmarks.mediapipe import MediaPipeDetector
from fewshot_heads.models.building import build, build_discriminator
from fewshot_heads.training.run_state import Optim
from fewshot_heads.training.weighted_losses import WeightedLosses

TASKS = sorted(path.stem for path in CONF_DIR.glob("*.yaml"))
OPTIONS = sorted(f"{path.parent.name}={path.stem}" for path in CONF_DIR.glob("*/*.yaml"))
DEFAULTS = {task: yaml.safe_load((CONF_DIR / f"{task}.yaml").read_text()).get("defaults", []) for task in TASKS}
CHOICES = [
    (task, option) for task in TASKS for option in OPTIONS
    if option.split("=")[0] in [key for entry in DEFAULTS[task] if isinstance(entry, dict) for key in entry]
]  # fmt: skip
ROOT = Path(__file__).parents[2]


def refusal(*overrides: str) -> str:
    """The one line `animate` answers with."""
    with pytest.raises(UsageError) as caught:
        compose_config("animate", overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_the_readable_ones():
    config = compose_config("animate")
    assert (config.model, config.motion, config.paste_back, config.crf) == ("realtime", "relative", True, 18)
    assert config.threads is None
    assert config.landmarks.backend == "mediapipe"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_composes_and_its_defaults_obey_its_rules(task):
    config = compose_config(task)
    assert config
    for key, value in config.items():
        rule = RULES.get(f"{task}.{key}") or RULES.get(key)
        assert rule is None or rule.allows(value), f"{key}={value}"


@pytest.mark.parametrize(("task", "option"), CHOICES)
def test_every_option_of_every_group_composes(task, option):
    group, name = option.split("=")
    written = yaml.safe_load((CONF_DIR / group / f"{name}.yaml").read_text())
    chosen = compose_config(task, [option])
    if group in ("experiment", "mode"):
        for entry in written.pop("defaults", []):
            ((key, preset),) = entry.items()
            assert (
                chosen[key.split("/")[1]]
                == compose_config(task, [f"{key.split('/')[1]}={preset}", option])[key.split("/")[1]]
            )
        assert OmegaConf.merge(chosen, written) == chosen
        return
    assert OmegaConf.to_container(chosen[group]) == written
    for key, value in written.items():
        rule = RULES.get(f"{group}.{key}")
        assert rule is None or rule.allows(value), f"{key}={value}"


@pytest.mark.parametrize("option", [option for task, option in CHOICES if task == "meta_learn"])
def test_every_option_of_meta_learning_makes_what_it_names(option):
    config = OmegaConf.to_container(compose_config("meta_learn", [option]))
    spec, data = config["model"], config["data"]
    if "paper" not in option:  # its networks are built, whole, in test_paper
        networks = build(spec)
        assert getattr(networks, "generator", networks).size == spec["size"]
        assert spec["architecture"] == "parsing" or build_discriminator(spec)
    taken_out = ("identities", "holdout_fraction", "person_segmenter", "hair_segmenter", "labels", "layers")
    assert EpisodeSettings(**{key: value for key, value in data.items() if key not in taken_out})
    assert Optim(**config["optim"]).lr > 0
    if option in ("criterion=parsing", "experiment=parsing"):  # it has no discriminator
        assert all(entry["weight"] > 0 for entry in config["criterion"].values())
        return
    offline = {
        name: {**entry, "weight": 0.0} if "weights" in entry else entry for name, entry in config["criterion"].items()
    }
    assert WeightedLosses(offline).weight("adversarial") > 0
    assert WeightedLosses(offline).relativistic == config["criterion"]["adversarial"]["relativistic"]
    assert compose_config("meta_learn", [option, "criterion.adversarial.paired=true"])


def test_tasks_that_animate_share_their_defaults():
    shared = "model inpainters motion pose expression reference mouth smoothing source_face driver_face resolution crf"
    for key in (*shared.split(), "device", "batch", "threads", "paste_back"):
        configs = [load_config(task) for task in ("animate", "morph", "portrait", "sample", "audio")]
        defaults = [config[key] for config in configs if key in config]
        assert all(default == defaults[0] for default in defaults), key


def test_a_typo_in_a_nested_key_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'criterion.vgg19.weight'"):
        compose_config("meta_learn", ["criterion.vgg19.wieght=1"])


def test_a_person_chooses_networks_by_path_and_drops_terms_by_weight():
    config = compose_config(
        "meta_learn", ["criterion.vggface.weights=a b.npz", "criterion.vgg19.weight=0", "start=null"]
    )
    assert config.criterion.vggface.weights == "a b.npz"
    assert (config.criterion.vgg19.weight, config.init_from) == (0, None)
    with pytest.raises(UsageError, match="a number from 0 up"):
        compose_config("meta_learn", ["criterion.match.weight=-1"])


def test_no_option_is_left_that_no_task_can_choose():
    assert {option for _, option in CHOICES} == set(OPTIONS)


def test_a_key_without_a_rule_takes_values_of_its_defaults_kind(tmp_path, monkeypatch):
    (tmp_path / "task.yaml").write_text("defaults: [_self_]\nn: 3\nx: 1.5\nflag: true\nword: a\nsizes: [1, 2]\n")
    for module in ("config", "conf_files"):
        monkeypatch.setattr(f"fewshot_heads.cli.{module}.CONF_DIR", tmp_path)
    config = compose_config("task", ["n=4", "x=2", "flag=false", "word=5", "sizes=[3]"])
    assert config == {"n": 4, "x": 2, "flag": False, "word": "5", "sizes": [3]}
    refused = {"n=.5": "a whole number", "x=far": "a number", "flag=1": "true or false", "sizes=3": "a list like [1,2]"}
    for override, expected in refused.items():
        with pytest.raises(UsageError) as caught:
            compose_config("task", [override])
        assert str(caught.value) == f"{override}: expected {expected}"


@pytest.mark.parametrize(
    ("option", "made"), [("mediapipe", MediaPipeDetector), ("face_alignment", FaceAlignmentDetector)]
)
def test_a_landmark_config_says_what_its_detector_takes_by_default(option, made):
    parameters = inspect.signature(made).parameters
    config = compose_config("animate", [f"landmarks={option}"]).landmarks
    for key in set(config) - {"backend"}:
        assert parameters[key].default == config[key]


def test_overrides_take_effect():
    overrides = ["motion=absolute", "pose=0.5", "expression=2", "paste_back=false", "threads=2", "reference=7"]
    config = compose_config("animate", [*overrides, "landmarks=face_alignment", "landmarks.dimensions=3"])
    assert (config.motion, config.pose, config.expression) == ("absolute", 0.5, 2)
    assert (config.paste_back, config.threads, config.reference) == (False, 2, 7)
    assert config.landmarks.dimensions == 3


def test_a_group_may_be_chosen_after_its_key_is_set():
    config = compose_config("animate", ["landmarks.dimensions=3", "landmarks=face_alignment"])
    assert config.landmarks.dimensions == 3


@pytest.mark.parametrize("path", ["my weights (1).pt", "a=b.pt", "x: y.pt", "it's.pt", "3", "null", "${x}.pt", "[x]",
                                  "${x", "\\${x}", "a\\"])  # fmt: skip
def test_a_model_path_with_odd_characters_arrives_unchanged(path):
    assert compose_config("animate", [f"model={path}"]).model == path
    assert load_config("animate", [f"model={path}"])["model"] == path


def test_names_in_a_list_stay_text():
    names = ["3", "010", "true", "null", "${x", "${oc.env:HOME}"]
    override = f"inpainters={names}".replace(" ", "")
    assert load_config("animate", [override])["inpainters"] == names
    assert load_config("animate", ["inpainters=[3, true]"])["inpainters"] == ["3", "true"]


@pytest.mark.parametrize(
    ("override", "nearest"),
    [("motoin=absolute", "motion"), ("pastback=false", "paste_back"), ("landmark=mediapipe", "landmarks"),
     ("landmarks.min_confidnce=0.3", "landmarks.min_confidence"), ("+crf=20", "crf")],
)  # fmt: skip
def test_a_typo_in_a_key_names_the_nearest_key(override, nearest):
    line = refusal(override)
    assert line.startswith(f"unknown option '{override}'; did you mean '{nearest}'?")
    assert "--help" in line


def test_a_key_like_no_other_gets_no_suggestion():
    assert "did you mean" not in refusal("xyzzy=1")


def test_a_typo_in_a_groups_option_names_the_nearest_option():
    line = refusal("landmarks=face-alignment")
    assert line == "landmarks=face-alignment: expected face_alignment or mediapipe; did you mean 'face_alignment'?"


def test_the_backend_is_chosen_by_its_group_only():
    assert "did you mean 'landmarks'" in refusal("landmarks.backend=face_alignment")


@pytest.mark.parametrize(
    ("override", "expected"),
    [("motion=foo", "relative or absolute"), ("crf=abc", "a whole number from 0 to 51"), ("crf=52", "0 to 51"),
     ("crf=18.5", "a whole number"), ("crf=true", "a whole number"), ("crf=[1,2]", "a whole number"),
     ("crf=", "0 to 51"), ("pose=-1", "a number from 0 to 2"), ("pose=nan", "a number from 0 to 2"),
     ("smoothing=-0.1", "a number from 0 up"), ("paste_back=maybe", "true or false"), ("paste_back=1", "true or false"),
     ("batch=0", "a whole number from 1 up"), ("threads=0", "null or a whole number from 1 to 256"),
     ("threads=100000", "1 to 256"), ("smoothing=.inf", "a number"), ("smoothing=1e300", "up to 1e+09"),
     ("batch=" + 5000 * "9", "a whole number"), ("inpainters=[[mouth]]", "a list like [mouth,eyes,lids]"),
     ("inpainters=" + 999 * "[" + 999 * "]", "a list"),
     ("crf=0x10", "0 to 51"), ("crf=0b1", "0 to 51"), ("crf=010", "0 to 51"), ("crf=1_0", "0 to 51"),
     ("crf=0:18", "0 to 51"), ("smoothing=1_0.5", "a number"), ("smoothing=0:1.5", "a number"), ("crf=!!int", "0 to"),
     ("crf=!!timestamp x", "0 to"), ("crf=!!bool x", "0 to"), ("inpainters=[a,,b]", "a list"),
     ("threads=all", "null or"), ("reference=-1", "auto or a whole number from 0 up"), ("reference=none", "auto or"),
     ("model=", "a name"), ("landmarks.min_confidence=2", "0 to 1")],
)  # fmt: skip
def test_a_value_that_does_not_fit_says_what_does(override, expected):
    line = refusal(override)
    assert line.startswith(f"{override}: expected ")
    assert expected in line


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("+1.5", 1.5), (".5", 0.5), ("2.", 2), ("1e1", 10), ("15E-1", 1.5), ("-0", 0)]
)
def test_a_number_is_read_in_decimal_digits(text, number):
    assert compose_config("animate", [f"smoothing={text}"]).smoothing == number


def test_three_dimensions_at_most():
    assert refusal("landmarks=face_alignment", "landmarks.dimensions=4") == "landmarks.dimensions=4: expected 2 or 3"


def test_a_word_without_a_value_is_not_an_option():
    assert refusal("crf") == "'crf' is not an option; options read key=value"


def test_an_unknown_task_is_named_with_the_known_ones():
    with pytest.raises(BadInput, match=r"no configuration 'animat' .* there is .*animate"):
        compose_config("animat")


def test_help_has_one_line_for_every_key():
    described = describe("animate")
    assert {key for key, _, _ in described} == set(compose_config("animate"))
    assert ("crf", "18", "constant rate factor of the video, 0 best to 51 smallest") in described
    assert ("landmarks", "mediapipe") in [(key, default) for key, default, _ in described]


def test_help_shows_defaults_that_can_be_given_back_as_overrides():
    given_back = [f"{key}={default}" for key, default, _ in describe("animate")]
    assert compose_config("animate", given_back) == compose_config("animate")


def test_a_surrounding_hydra_is_left_as_it_was(tmp_path):
    (tmp_path / "app.yaml").write_text("crf: mine\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        surrounding = GlobalHydra.instance().hydra
        assert compose_config("animate", ["landmarks=face_alignment"]).crf == 18
        with pytest.raises(UsageError):
            compose_config("animate", ["motoin=absolute"])
        assert GlobalHydra.instance().hydra is surrounding
        assert hydra.compose("app").crf == "mine"
    assert not GlobalHydra.instance().is_initialized()


def test_nothing_is_initialised_when_nobody_else_uses_hydra():
    compose_config("animate")
    assert not GlobalHydra.instance().is_initialized()


def test_it_composes_inside_an_application_that_runs_under_hydra(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "app.yaml").write_text("crf: 3\n")
    (tmp_path / "app.py").write_text(
        "import hydra\n"
        "from hydra.core.hydra_config import HydraConfig\n"
        "from fewshot_heads.cli.config import compose_config\n"
        "@hydra.main(config_path='conf', config_name='app', version_base='1.3')\n"
        "def main(config):\n"
        "    print(config.crf, compose_config('animate', ['crf=20']).crf, HydraConfig.get().job.config_name)\n"
        "main()\n"
    )
    assert run([sys.executable, "app.py", "crf=4"], tmp_path).split() == ["4", "20", "app"]


def test_it_composes_from_any_working_directory(tmp_path):
    compose_it = "print(compose_config('animate', ['landmarks=face_alignment']).landmarks)"
    code = f"from fewshot_heads.cli.config import compose_config; {compose_it}"
    assert "'backend': 'face_alignment'" in run([sys.executable, "-c", code], tmp_path)


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_every_key_of_a_task_is_a_flag_too():
    def spelled(*tokens):
        parser = make_parser("portrait", "", "")
        parser.add_argument("inputs", nargs="*")
        parser.add_argument("--preview", action="store_true")
        read = parser.parse_intermixed_args(tokens)
        return read.inputs, read.preview

    given = ["a.jpg", "--strength", "0.5", "--gallery=a=b", "--preview", "--landmarks.min_confidence", "0.3", "b.mp4"]
    assert spelled(*given) == (["a.jpg", "strength=0.5", "gallery=a=b", "landmarks.min_confidence=0.3", "b.mp4"], True)
    assert spelled("--reference", "-1") == (["reference=-1"], False)
    assert spelled("strength=1") == (["strength=1"], False)


@pytest.mark.parametrize("task", ["animate", "fine_tune", "morph", "audio", "portrait", "sample"])
def test_keys_of_a_task_and_of_its_groups_are_flags(task):
    parser = make_parser(task, "", "")
    parser.add_argument("inputs", nargs="*")
    for key in load_config(task):
        assert parser.parse_intermixed_args([f"--{key}", "1"]).inputs == [f"{key}=1"]


@pytest.mark.parametrize(
    ("tokens", "told"),
    [(["--strnegth", "1"], "--strnegth"), (["--strength"], "--strength: expected a value"), (["-strength=1"], "-s")],
)
def test_a_flag_that_is_no_key_or_has_no_value_is_an_error(tokens, told, capsys):
    parser = make_parser("portrait", "", "")
    parser.add_argument("inputs", nargs="*")
    with pytest.raises(SystemExit) as caught:
        parser.parse_intermixed_args(tokens)
    printed = capsys.readouterr().err
    assert caught.value.code == 2 and told in printed
    assert printed.startswith("error: ") and printed.endswith("; --help shows how\n") and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("task", "old", "key", "value"),
    [
        ("animate", "smooth=0.5", "smoothing", 0.5), ("animate", "mouth=painted", "mouth", "inpainted"),
        ("fine_tune", "keep=0.2", "weight_interpolation", 0.2), ("fine_tune", "face=1", "source_face", 1),
        ("prepare", "crop=around", "crop", "head"), ("meta_learn", "start=realtime", "init_from", "realtime"),
        ("meta_learn", "data.hold_out=0.1", "data.holdout_fraction", 0.1),
        ("meta_learn", "criterion.l1.opened=2", "criterion.l1.disoccluded", 2),
        ("meta_learn", "data=episodes", "data.k_shot", 8), ("benchmark", "run=4", "sequence_length", 4),
        ("portrait", "bank=faces", "gallery", "faces"), ("audio", "liveliness=0.5", "idle_motion_gain", 0.5),
    ],
)  # fmt: skip
def test_an_old_key_works_and_one_line_names_the_new_one(task, old, key, value, caplog):
    assert OmegaConf.select(compose_config(task, [old]), key) == value
    (record,) = caplog.records
    assert key.partition("=")[0].split(".")[0] in record.getMessage() and "\n" not in record.getMessage()


def test_a_key_of_today_is_no_cause_for_a_warning(caplog):
    compose_config("animate", ["smoothing=0.5", "mouth=inpainted"])
    assert not caplog.records


def test_an_old_key_is_a_flag_too():
    parser = make_parser("animate", "", "")
    parser.add_argument("inputs", nargs="*")
    assert parser.parse_intermixed_args(["--smooth", "1"]).inputs == ["smooth=1"]


def test_every_old_name_leads_to_a_key_that_exists():
    known = {
        line.split(":")[0].strip(" {,-") for path in CONF_DIR.rglob("*.yaml") for line in path.read_text().splitlines()
    }
    known |= {"relativistic", "disoccluded"}  # inside one line
    assert set(KEYS.values()) <= known
    assert not (set(KEYS) - {"size"}) & known  # `prepare` has a size, `animate` had one
