"""`python -m prospect.models.export RUN FOLDER [--merged] [--push OWNER/NAME]`: a run's model, for use elsewhere.

Without --merged a LoRA run exports its adapters and the record of their base; with it, one whole transformers folder.
With --layout nanovlm it is a folder as nanoVLM's own code reads it; the tokenizer is laid beside.
--push sends that folder to the hub as well, by the token in HF_TOKEN; a new repository is private unless --public.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Literal, get_args

from prospect.errors import UserError
from prospect.models import nanovlm_layout
from prospect.models.adapt import merged
from prospect.models.base import RECORD, adapters_in, base_of
from prospect.models.decisions import StreamModel
from prospect.models.hub import check_push, push
from prospect.models.loading import trained
from prospect.models.sealed import model_folder
from prospect.models.tiles import TileLayout
from prospect.models.vlm import VLM

BASE_KEY = "base_model_name_or_path"  # in PEFT's own configuration

Layout = Literal["transformers", "nanovlm"]


def export(
    run: str, folder: Path, merge: bool = False, adapter: str | None = None, layout: Layout = "transformers"
) -> Path:
    """Refuses a folder that holds anything."""
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; give a new folder")
    vlm = trained(run, {"device": "cpu", "dtype": _stored_type(model_folder(run))}, adapter)
    if merge and vlm.adapter_base is None:
        raise UserError(f"{run} holds a whole model and no adapter: leave out --merged")
    whole = merged(vlm) if merge else vlm
    if layout == "nanovlm":
        _save_as_nanovlm(whole, run, folder)
    else:
        whole.save(folder)
    return folder


def _save_as_nanovlm(vlm: VLM, run: str, folder: Path) -> None:
    if not isinstance(vlm.images, TileLayout):
        raise UserError(f"{run} holds a {vlm.bare.config.model_type} and no nanoVLM: leave out --layout")
    if vlm.adapter_base:
        raise UserError(f"{run} holds an adapter, which nanoVLM's layout has no place for: add --merged")
    if isinstance(vlm.bare, StreamModel):
        raise UserError(f"{run} holds a model for streams: nanoVLM's layout has no place for frames and decisions")
    folder.mkdir(parents=True, exist_ok=True)
    vlm.tokenizer.save_pretrained(folder)
    nanovlm_layout.write(vlm.model.state_dict(), vlm.model.config, vlm.images.size, folder)


def _stored_type(folder: Path) -> str:
    """The number format that the weights were saved in: an export changes nothing about them."""
    base = base_of(folder).folder if adapters_in(folder) else folder
    assert base is not None, "a recorded base has a folder"
    return json.loads((base / "config.json").read_text()).get("dtype", "float32")


def _check_useful(run: str) -> None:
    """An adapter on a folder of this machine would be of no use to anybody else, and would tell where the folder is."""
    folder = model_folder(run)
    if not adapters_in(folder):
        return
    source = base_of(folder).source
    if source is None or Path(source).expanduser().exists():
        where = f"in {source}, on this machine alone" if source else "beside it, in no place of their own"
        raise UserError(f"--push: the weights under the adapter lie {where}; push the whole model with --merged")


def _without_places(folder: Path) -> None:
    """What is for others names the base as the hub does, not where it lies here."""
    source = json.loads((folder / RECORD).read_text())["source"]
    for path, key in [(folder / RECORD, "folder"), *((p, BASE_KEY) for p in folder.rglob("adapter_config.json"))]:
        values = json.loads(path.read_text())
        path.write_text(json.dumps(values | {key: source}, indent=2) + "\n")


def pushed(
    run: str, folder: Path, name: str, merge: bool, adapter: str | None, public: bool, layout: Layout = "transformers"
) -> str:
    """Export and push. Everything that can be checked before is."""
    if not merge:
        _check_useful(run)
    check_push(name)
    export(run, folder, merge, adapter, layout)
    if adapters_in(folder):
        _without_places(folder)
    return push(folder, name, public)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m prospect.models.export", description=__doc__)
    parser.add_argument("run", help="a run folder, or one of its checkpoints")
    parser.add_argument("folder", type=Path, help="where the model goes; new or empty")
    parser.add_argument("--merged", action="store_true", help="add the adapter to its base")
    parser.add_argument(
        "--adapter", metavar="NAME", help="of several, the one to export as the one in use, or to merge"
    )
    parser.add_argument("--push", metavar="OWNER/NAME", help="send the folder to the hub under this name")
    parser.add_argument("--public", action="store_true", help="for everybody, where --push makes a new repository")
    parser.add_argument("--layout", choices=get_args(Layout), default="transformers", help="whose code is to read it")
    given = parser.parse_args()
    try:
        if given.public and not given.push:
            raise UserError("--public says how to --push, which is not asked for")
        if given.push:
            where = pushed(given.run, given.folder, given.push, given.merged, given.adapter, given.public, given.layout)
            print(f"pushed {where}")
        else:
            export(given.run, given.folder, given.merged, given.adapter, given.layout)
        print(f"model {given.folder.absolute()}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
