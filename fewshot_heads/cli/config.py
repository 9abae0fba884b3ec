"""Composes the configuration of a task, with hydra.

`schema.RULES` has the values that a key takes. A key without a rule takes values of its default's type. Commands import
this module when they run: hydra takes half of the time in which `--help` answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from fewshot_heads.cli.conf_files import CONF_DIR, groups_of, module_of
from fewshot_heads.cli.renamed import current_key, current_value
from fewshot_heads.cli.schema import RULES, Rule
from fewshot_heads.errors import UsageError, did_you_mean, first_line


class _ValueLoader(yaml.SafeLoader):
    """YAML with numbers in plain decimal digits only. YAML itself reads 010 as 8, 1:30 as 90 and 0x10 as 16."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null", "merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_WHOLE, _POWER = r"[-+]?(0|[1-9][0-9]*)", r"([eE][-+]?[0-9]+)"
_FRACTION = rf"[-+]?([0-9]+\.[0-9]*|\.[0-9]+){_POWER}?|{_WHOLE}{_POWER}|[-+]?\.inf|\.nan"
for _tag, _pattern in ("int", _WHOLE), ("float", _FRACTION):
    _ValueLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"({_pattern})$"), list("-+.0123456789"))


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
        OmegaConf.update(config, key, _literal(_checked(name, key, text, defaults[key])))
    return config


def load_config(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Returns `compose_config` as plain dictionaries and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(compose_config(name, overrides), resolve=True))


def _pair(override: str) -> tuple[str, str]:
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise UsageError(f"'{override}' is not an option; options read key=value")
    return key, value


def _value(text: str, loader: Any = _ValueLoader) -> Any:
    """Returns the YAML value of a text; text that is not YAML stays text. yaml.BaseLoader makes no numbers."""
    try:
        return yaml.load(text, loader)
    # For text that is no YAML, ten thousand lists, ten thousand digits, and tags such as !!int or !!timestamp.
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError):
        return text


def _checked(task: str, key: str, text: str, default: Any) -> Any:
    """Returns the value of `key=text`. Raises UsageError if it does not fit."""
    rule = RULES.get(f"{task}.{key}") or RULES.get(key) or RULES.get(key.rpartition(".")[2])
    if rule is None and (default is None or isinstance(default, str)):
        # A name stays text: weights may be called `3` or `a: b.safetensors`.
        is_null = default is None and text == "null"
        value, fits, expected = None if is_null else text, text != "", "a name"
    elif rule is None and isinstance(default, ListConfig):
        items = list(default) or [""]
        are_names = isinstance(items[0], str)
        value = _value(text, yaml.BaseLoader) if are_names else _value(text)
        allows = _is_name if are_names else Rule(number=type(items[0])).allows
        fits = isinstance(value, list) and all(map(allows, value))
        expected = f"a list like [{','.join(map(str, default)) or 'anna,ben'}]"
    else:
        rule = rule or (Rule((True, False)) if isinstance(default, bool) else Rule(number=type(default)))
        value = _value(text)
        fits, expected = rule.allows(value), str(rule)
    if not fits:
        raise UsageError(f"{key}={text}: expected {expected}")
    return value


def _literal(value: Any) -> Any:
    """Returns a value in whose texts OmegaConf sees no reference to another key."""
    if isinstance(value, list):
        return list(map(_literal, value))
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def _is_name(item: Any) -> bool:
    return isinstance(item, str) and item != ""


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
