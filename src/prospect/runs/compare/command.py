"""The command line of `compare.py`: folders, words such as `by=KEY`, flags; what to write where; the exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import NoReturn

from prospect.disk import write_atomically
from prospect.errors import UserError
from prospect.runs.compare.comparison import Comparison, Entry
from prospect.runs.nearest import nearest

BAD, MET, INTERRUPTED = 2, 3, 130  # exit codes: usage, a --fail-if is met, Ctrl-C
WORDS = ("by", "metric", "baseline", "pairs")
PAIRS = ("seeds", "samples")
FILES = ("json", "csv", "md", "html")
EPILOG = """\
words:
  by=KEY[,KEY…]         group by these settings only; otherwise by all that differ
  metric=NAME[,NAME…]   metrics to show, or patterns such as 'test/user/*/exact'; the first one orders and decides;
                        otherwise the headlines
  baseline=NAME         a group, by its name or as KEY=VALUE; otherwise the one of the most seeds
  pairs=seeds|samples   what tests are paired over; otherwise seeds, or samples (videos, users, pictures) where under 3
                        seeds are common
exit codes: 0 done, 2 usage, 3 a --fail-if is met"""


@dataclass
class Asked:
    folders: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)

    def several(self, word: str) -> list[str]:
        return [part.strip() for part in self.words.get(word, "").split(",") if part.strip()]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def main(argv: Sequence[str] | None = None) -> int:
    try:
        return _main(sys.argv[1:] if argv is None else list(argv))
    except UserError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _main(argv: list[str]) -> int:
    flags = _flags(argv)
    asked = _asked(flags.words)
    if flags.rerun:
        return _rerun(asked)
    from prospect.runs.compare.compared import compared  # numpy: a typo need not wait for it
    from prospect.runs.compare.conditions import condition, failures
    from prospect.runs.compare.find import folders
    from prospect.runs.compare.index import index

    conditions = [condition(text) for text in flags.fail_if]
    entries = index(folders(asked.folders))
    targets = _targets(flags, entries)
    comparison = compared(
        entries, asked.several("by"), asked.several("metric"), asked.words.get("baseline"), asked.words.get("pairs")
    )
    met = failures(conditions, comparison)
    _write(comparison, targets)
    for line in met:
        print(f"failed: {line}", file=sys.stderr)
    return MET if met else 0


def _flags(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="compare.py",
        usage="python compare.py DIR… [by=KEY,…] [metric=NAME,…] [baseline=NAME] [pairs=seeds|samples] [flags]",
        description="Run folders side by side: settings that differ, metrics over seeds, tests, what went wrong.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="DIR", help="run folders, sweeps, folders of them, or patterns")
    for name in FILES:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write {name.upper()}; - is standard output")
    parser.add_argument("--fail-if", action="append", default=[], metavar="CONDITION", help="as in test/speak/f1<0.8")
    parser.add_argument("--rerun", action="store_true", help="print what it takes to do the one run in DIR again")
    flags, unknown = parser.parse_known_intermixed_args(argv)
    for flag in unknown:
        guess = nearest(
            flag.partition("=")[0], [option for action in parser._actions for option in action.option_strings]
        )
        raise UserError(f"{flag}: no such flag" + (f"; did you mean {guess}?" if guess else ""))
    return flags


def _asked(words: Sequence[str]) -> Asked:
    asked = Asked()
    for text in words:
        word, equals, value = text.partition("=")
        if equals and word in WORDS:
            asked.words[word] = value
        elif equals and "/" not in word and not Path(text).exists() and not has_magic(text):
            guess = nearest(word, WORDS)
            raise UserError(f"{text}: no such word" + (f"; did you mean {guess}={value}?" if guess else ""))
        else:
            asked.folders.append(text)
    if (pairs := asked.words.get("pairs")) is not None and pairs not in PAIRS:
        raise UserError(f"pairs={pairs}: one of {', '.join(PAIRS)}")
    if not asked.folders:
        raise UserError("give run folders, sweeps, or patterns such as outputs/*; --help says more")
    return asked


def _rerun(asked: Asked) -> int:
    from prospect.runs.compare.again import again
    from prospect.runs.compare.find import folders
    from prospect.runs.compare.index import read_facts
    from prospect.runs.compare.reading import Unreadable

    found = folders(asked.folders)
    if len(found) != 1:
        raise UserError(f"--rerun is of one run, and these are {len(found)}: {', '.join(map(str, found[:4]))}, …")
    try:
        print(again(found[0], read_facts(found[0])))
    except Unreadable as error:
        raise UserError(f"{found[0]}: {error}") from None
    return 0


def _targets(flags: argparse.Namespace, entries: Sequence[Entry]) -> dict[str, str]:
    """By kind of file where it goes. Asked before anything is computed."""
    targets = {name: str(path) for name in FILES if (path := vars(flags)[name]) is not None}
    if sum(path == "-" for path in targets.values()) > 1:
        raise UserError("only one of the files can go to standard output")
    runs = {entry.folder.resolve() for entry in entries}
    for name, path in targets.items():
        if path != "-" and runs & {*Path(path).resolve().parents}:
            raise UserError(f"--{name} {path}: lies in a run folder, which stays untouched: choose another place")
        if path != "-" and Path(path).is_dir():
            raise UserError(f"--{name} {path}: is a folder; give a file")
    return targets


def _write(comparison: Comparison, targets: dict[str, str]) -> None:
    writers = _writers()
    for name, path in targets.items():
        text = writers[name](comparison)
        if path == "-":
            print(text, end="")
            continue
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(path), text)
        except OSError as error:
            raise UserError(f"--{name} {path} cannot be written: {error.strerror}") from None
    if "-" in targets.values():
        return
    from rich.console import Console

    from prospect.runs.compare.terminal import show

    show(comparison, Console())
    for path in targets.values():
        print(f"wrote {path}")


def _writers() -> dict[str, Callable[[Comparison], str]]:
    from prospect.runs.compare import files

    def html(comparison: Comparison) -> str:
        from prospect.runs.compare.page import page  # jinja2, only for those who want it

        return page(comparison)

    return {"json": files.as_json, "csv": files.as_csv, "md": files.as_markdown, "html": html}
