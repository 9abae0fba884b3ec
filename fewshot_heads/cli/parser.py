"""Parsing and running of command lines: overrides among the paths, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from fewshot_heads.cli.conf_files import describe, keys_of, module_of
from fewshot_heads.cli.renamed import KEYS
from fewshot_heads.errors import TORCH_MISSING, FewshotHeadsError, OutputError, UsageError, first_line, printable

_NO_LIBRARY = "cannot open shared object file"  # what the loader of Linux says, such as for libGL.so.1
_OVERRIDE = re.compile(r"[+~]?[a-z_][\w.]*=")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line. Reads `--key value` and `--key=value` as `key=value`.

    Attributes:
        keys: the keys of a task and of its groups.
    """

    keys: frozenset[str] = frozenset()

    def error(self, message: str) -> NoReturn:
        """Prints one line and exits with code 2."""
        self.exit(2, f"error: {printable(message)}; --help shows how\n")

    def parse_intermixed_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        tokens, overrides = iter(sys.argv[1:] if args is None else args), []
        for token in tokens:
            flag, equals, value = token.partition("=")
            key = flag.removeprefix("--")
            if key == flag or flag in self._option_string_actions or key.partition(".")[0] not in self.keys:
                overrides.append(token)
                continue
            if not equals and (value := next(tokens, "")) == "":
                self.error(f"argument {flag}: expected a value")
            overrides.append(f"{key}={value}")
        return super().parse_intermixed_args(overrides, namespace)


def make_parser(
    task: str, usage: str, description: str, output: str | None = None, preview: str | None = None
) -> Parser:
    """Returns the parser of a task, with the keys of conf/<task>.yaml in its help and as flags.

    Args:
        task: name of the configuration.
        usage: arguments, as the help shows them.
        description: what the command does.
        output: help of `--output`; None leaves `--output` and `--overwrite` out.
        preview: help of `--preview`; None leaves it out.
    """
    keys = "\n".join(f"  {key + '=' + default:<26} {text}" for key, default, text in describe(task))
    parser = Parser(
        prog=f"python -m {module_of(task)}",
        usage=f"%(prog)s {usage}",
        description=description,
        epilog=f"keys and their defaults (key=value, or --key value; a group's own keys: conf/):\n{keys}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = keys_of(task)
    parser.keys = known | {old for old, new in KEYS.items() if new in known}
    add_output_arguments(parser, output)
    if preview is not None:
        parser.add_argument("--preview", action="store_true", help=preview)
    return parser


def add_output_arguments(
    parser: argparse.ArgumentParser, output: str | None = None, default: Path | None = None
) -> None:
    """Adds `--output`, `--overwrite` and `--debug` to a parser.

    Args:
        parser: changed in place.
        output: help of `--output`; None adds `--debug` alone.
        default: path of the output.
    """
    if output is not None:
        parser.add_argument("-o", "--output", type=Path, default=default, help=output)
        parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def split_overrides(tokens: Iterable[str]) -> tuple[list[str], list[str]]:
    """Splits tokens into paths (or URLs) and key=value overrides; an existing file is always a path."""
    paths: list[str] = []
    overrides: list[str] = []
    for token in tokens:
        is_override = _OVERRIDE.match(token) and not os.path.exists(token)
        (overrides if is_override else paths).append(token)
    return paths, overrides


def parse_and_run(
    parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], Path], argv: Sequence[str] | None
) -> int:
    """Parses the arguments, runs a command on them and returns the exit code, see `run`."""
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: command(arguments), arguments.debug)


def run(command: Callable[[], Path | str], debug: bool) -> int:
    """Runs a command, prints what it returns, and returns an exit code; an error is one line.

    The code is 0, 1 for bad input, or 2 for usage. See `signals.ends_on_signals` for interruptions.

    Args:
        command: does the work and returns the path of its result, or a text.
        debug: whether an error is raised with its traceback.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    warnings.showwarning = lambda message, *_: logging.getLogger(__name__).warning("%s", message)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a code page, as on Windows, may lack letters of a path
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _print_result(command())
        return 0
    except Exception as error:
        if debug:
            raise
        print(f"error: {error_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def print_details(text: str) -> None:
    """Prints what a command tells beside its result. A full or closed output is no error, as the result comes later."""
    try:
        print(text, flush=True)
    except OSError as error:
        print(f"standard output takes no text ({error.strerror}); the command goes on", file=sys.stderr)
        _discard_output()


def error_line(error: Exception) -> str:
    """Returns the line that tells a user about an error.

    Args:
        error: of this library, or one that it did not foresee, whose line gets a remedy.
    """
    return printable(str(error) if isinstance(error, FewshotHeadsError) else _unforeseen(error))


def _unforeseen(error: Exception) -> str:
    line = first_line(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return TORCH_MISSING
    if _NO_LIBRARY in line:
        return f"{line}; install the system libraries that README.md names, such as libgl1"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path (--debug shows where)"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.strerror}: temporary files do not fit; free some space, or set TMPDIR to another folder"
    if isinstance(error, FileNotFoundError):  # what os.getcwd raises has no name
        return "the current folder is gone; change to another one (--debug shows where)"
    return f"{type(error).__name__}: {line}; --debug shows where"


def _print_result(result: Path | str) -> None:
    """Prints the path of a file or a text. A file is written, so a full or closed output is no error."""
    try:
        print(result, flush=True)
    except OSError as error:
        if isinstance(result, str):
            raise OutputError(f"standard output takes no text ({error.strerror}); send it elsewhere") from error
        print(f"{result}: written, but standard output does not take its name ({error.strerror})", file=sys.stderr)
        _discard_output()


def _discard_output() -> None:
    """Discards what standard output does not take. Else Python itself fails at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
