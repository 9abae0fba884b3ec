"""Composes the configuration of a task, with hydra.

`schema.RULES` has the values that a key takes. A key without a rule takes values of its default's type. Commands import
this module when they run: hydra takes half of the time in which `--help` answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fewshot_heads.cli.conf_files import CONF_DIR, groups_of, module_of
from fewshot_heads.cli.renamed import current_key, current_value
from fewshot_heads.cli.schema import RULES, Rule
from fewshot_heads.errors import UsageError, did_you_mean, first_line


def compose_config(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Returns a task's configuration after overrides.

    It works inside another hydra application and leaves that as it was.

    Args:
        name: the task, conf/<name>.yaml.
        overrides: `group=option` and `key=value`.

    Raises:
        UsageError: an override does not fit. The line names the nearest key or the allowed values.
    """
    groups = groups_of(name)
    pairs = [(key, current_value(key, value)) for key, value in map(_pair, overrides)]
    for group, option in pairs:
        if group in groups:
            _check_option(group, option)
    config = _compose(name, [f"{key}={value}" for key, value in pairs if key in groups])
    # A group's option chooses its code, never a key inside the group.
    defaults = {key: default for key, default in _leaves(config) if not key.endswith((".backend", ".architecture"))}
    for key, text in pairs:
        if key in groups:
            continue
        key = current_key(key, defaults)
        if key not in defaults:
            raise UsageError(_unknown(f"option '{key}={text}'", key, [*defaults, *groups], name))
        OmegaConf.update(config, key, _checked(name, key, text, defaults[key]))
    return config


def load_config(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Returns `compose_config` as plain dictionaries and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(compose_config(name, overrides)))


def _pair(override: str) -> tuple[str, str]:
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise UsageError(f"'{override}' is not an option; options read key=value")
    return key, value


def _value(text: str) -> Any:
    """Returns the YAML value of a text; text that is not YAML stays text."""
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[call-overload, index]
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError):  # the last for ten thousand digits or lists
        return text


def _checked(task: str, key: str, text: str, default: Any) -> Any:
    """Returns the value of `key=text`. Raises UsageError if it does not fit."""
    rule = RULES.get(f"{task}.{key}") or RULES.get(key) or RULES.get(key.rpartition(".")[2])
    if rule is None and (default is None or isinstance(default, str)):
        # A name stays text: weights may be called `3` or `a: b.safetensors`.
        is_null = default is None and text == "null"
        value, fits, expected = None if is_null else text.replace("${", "\\${"), text != "", "a name"
    elif rule is None and isinstance(default, ListConfig):
        value = _value(text)
        items = list(default) or [""]
        fits = isinstance(value, list) and all(_is_alike(item, items[0]) for item in value)
        expected = f"a list like [{','.join(map(str, default)) or 'anna,ben'}]"
    else:
        rule = rule or (Rule((True, False)) if isinstance(default, bool) else Rule(number=type(default)))
        value = _value(text)
        fits, expected = rule.allows(value), str(rule)
    if not fits:
        raise UsageError(f"{key}={text}: expected {expected}")
    return value


def _is_alike(item: Any, example: Any) -> bool:
    """Returns whether an item of a list is of the kind of the default's items: a name, or a number."""
    if isinstance(example, str):
        return isinstance(item, (str, int))  # a name may be a number
    return Rule(number=type(example)).allows(item)


def _check_option(group: str, option: str) -> None:
    options = sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))
    if option not in options:
        raise UsageError(f"{group}={option}: expected {' or '.join(options)}{did_you_mean(option, options)}")


def _unknown(what: str, key: str, known: Iterable[str], name: str) -> str:
    return f"unknown {what}{did_you_mean(key, known)}; python -m {module_of(name)} --help and conf/ list all"


def _leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in map(str, config):
        value = config[key]
        if isinstance(value, DictConfig):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _compose(name: str, groups: list[str]) -> DictConfig:
    import hydra
    from hydra.errors import HydraException

    try:
        with _own_hydra(), hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return hydra.compose(name, groups)
    except HydraException as error:
        raise UsageError(first_line(error)) from error


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Replaces a surrounding application's hydra for a while."""
    from hydra.core.global_hydra import GlobalHydra

    surrounding = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = surrounding
