"""`make bench`: every claim, its ratio, its target, the verdict. `python -m bench c10 c15` runs some of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main(wanted: list[str]) -> int:
    files = [path.stem for path in Path(__file__).parent.glob("[cg][0-9]*_*.py")]
    names = sorted(files, key=lambda name: (name[0], int(name[1:].split("_")[0])))
    chosen = [name for name in names if not wanted or name.split("_")[0] in wanted]
    if not chosen:
        print(f"no such claim; there are {', '.join(name.split('_')[0] for name in names)}", file=sys.stderr)
        return 2
    table, missed = Table("claim", "measured", "target", "", "detail"), 0
    for name in chosen:
        measured = importlib.import_module(f"bench.{name}").measure()
        if not measured:
            table.add_row(name.split("_")[0].upper(), "", "", "not measured", "needs a GPU, and torch sees none")
        for one in measured:
            sign = "≥" if one.at_least else "≤"
            verdict = "[green]holds" if one.holds else "[red]missed"
            missed += not one.holds
            table.add_row(
                one.claim, f"{one.ratio:.2f}{one.unit}", f"{sign} {one.target:g}{one.unit}", verdict, one.detail
            )
    Console().print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
