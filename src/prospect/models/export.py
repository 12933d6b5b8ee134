"""`python -m prospect.models.export RUN FOLDER [--merged]`: the trained model of a run, for use elsewhere.

Without --merged a LoRA run exports its adapter and the record of its base; with it, one whole transformers folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from prospect.errors import UserError
from prospect.models.adapt import merged
from prospect.models.base import base_of
from prospect.models.loading import trained
from prospect.models.sealed import model_folder


def export(run: str, folder: Path, merge: bool = False) -> Path:
    """Refuses a folder that holds anything."""
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; give a new folder")
    vlm = trained(run, {"device": "cpu", "dtype": _stored_type(model_folder(run))})
    if merge and vlm.adapter_base is None:
        raise UserError(f"{run} holds a whole model and no adapter: leave out --merged")
    (merged(vlm) if merge else vlm).save(folder)
    return folder


def _stored_type(folder: Path) -> str:
    """The number format that the weights were saved in: an export changes nothing about them."""
    base = base_of(folder).folder if (folder / "adapter_config.json").is_file() else folder
    assert base is not None, "a recorded base has a folder"
    return json.loads((base / "config.json").read_text()).get("dtype", "float32")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m prospect.models.export", description=__doc__)
    parser.add_argument("run", help="a run folder, or one of its checkpoints")
    parser.add_argument("folder", type=Path, help="where the model goes; new or empty")
    parser.add_argument("--merged", action="store_true", help="add the adapter to its base")
    given = parser.parse_args()
    try:
        print(f"model {export(given.run, given.folder, given.merged).absolute()}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
