"""`python -m prospect.data.clips FOLDER`: the audit of a folder of clips."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console

from prospect.data.clips.dataset import read
from prospect.data.clips.files import others
from prospect.data.findings import findings_list, findings_table
from prospect.data.splits import SPLITS
from prospect.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Prints the audit of a folder: 2 when there are errors, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m prospect.data.clips", description="Audit a folder of DST clips.")
    parser.add_argument("folder", help="the folder of {train,val,test}_training.json")
    parser.add_argument("--frame-root", help="the folder of the frame stores, where they lie elsewhere")
    parser.add_argument("--features", help="a folder of feature stores")
    parser.add_argument("--verify", action="store_true", help="read every store whole and compare it with its manifest")
    parser.add_argument("--json", type=Path, help="write every finding into this file")
    asked = parser.parse_args(arguments)
    try:
        folder = Path(asked.folder).expanduser().resolve()
        checked = read(folder, asked.features, asked.frame_root, warmup=others(folder), verify=asked.verify)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.json:
        asked.json.write_text(json.dumps(findings_list(checked.findings), indent=1) + "\n", encoding="utf-8")
    if checked.findings:
        Console().print(findings_table(checked.findings))
    kept = dict.fromkeys(SPLITS, 0) | Counter(clip.split for clip, _ in checked.clips)
    print("usable clips: " + ", ".join(f"{split} {count}" for split, count in kept.items()))
    return 2 if any(finding.severity == "error" for finding in checked.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
