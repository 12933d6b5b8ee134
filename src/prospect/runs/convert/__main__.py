"""python -m prospect.runs.convert OLD.yaml: the command line that does what a NanoVLM-Lab configuration did."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from prospect.errors import UserError
from prospect.runs.convert.here import absent
from prospect.runs.convert.sections import converted
from prospect.runs.ending import BAD

CONF = Path(__file__).parents[4] / "conf"


def main(words: list[str] | None = None) -> int:
    """The command goes to stdout alone, so that it can be piped; what is to be known about it to stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m prospect.runs.convert", description=(__doc__ or "").partition(": ")[2]
    )
    parser.add_argument("old", type=Path, help="a YAML file with training_type, model, dataset, training, …")
    asked = parser.parse_args(words)
    try:
        line = converted(read(asked.old), asked.old.parent)
    except UserError as error:
        print(f"{asked.old}: {error}", file=sys.stderr)
        return BAD
    print(line)
    for note in [*line.notes, *absent(line, CONF if CONF.is_dir() else Path("conf"))]:
        print(f"# {note}", file=sys.stderr)
    return 0


def read(path: Path) -> dict[str, Any]:
    try:
        old = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"is no YAML: {error}") from error
    if not isinstance(old, dict):
        raise UserError("holds no keys; a configuration of NanoVLM-Lab has training_type, model, dataset, training")
    return old


if __name__ == "__main__":
    sys.exit(main())
