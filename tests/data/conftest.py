"""Folders of data that a test fills: element data row by row, DST clips clip by clip."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prospect.data.frames import write_frames

LABELS = ("water", "land", "fire", "wood", "metal")


class Folder:
    """`dataset/images/*.png` and JSON lines beside them."""

    def __init__(self, parent: Path) -> None:
        self.path = parent / "dataset"
        (self.path / "images").mkdir(parents=True)

    def image(self, name: str, shade: int) -> Path:
        """A picture whose bytes are those of its shade."""
        file = self.path / "images" / f"{name}.png"
        Image.new("RGB", (24, 24), (shade % 256, shade // 256, 7)).save(file)
        return file

    def lines(self, file: str, rows: list) -> None:
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        (self.path / file).write_text(text, encoding="utf-8")

    def sound(self, split: str, first: int, count: int = 5) -> list[dict]:
        """Faultless rich rows with pictures of their own, five labels in turn."""
        rows = [rich(f"{split}_{n}", LABELS[n % 5]) for n in range(first, first + count)]
        for row, shade in zip(rows, range(first, first + count), strict=True):
            self.image(row["image_id"], shade)
        return rows


def rich(name: str, label: str, reason: str = "", **more) -> dict:
    return {"image_id": name, "image_path": f"images/{name}.png", "element": label, "reason": reason} | more


def chat(image: str, label: str, question: str = "<image>\nWhich element?", keys: tuple = ("from", "value")) -> dict:
    who, what = keys
    human, gpt = ("human", "gpt") if who == "from" else ("user", "assistant")
    return {"image": image, "conversations": [{who: human, what: question}, {who: gpt, what: label}]}


@pytest.fixture
def folder(tmp_path) -> Folder:
    """Empty; `filled` has three sound splits."""
    return Folder(tmp_path)


@pytest.fixture
def filled(folder) -> Folder:
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        folder.lines(f"{split}.jsonl", folder.sound(split, first))
    return folder


@pytest.fixture
def rows():
    """The two row shapes as functions: rows.rich(…), rows.chat(…)."""

    class Rows:
        rich = staticmethod(rich)
        chat = staticmethod(chat)

    return Rows


class Clips:
    """Three splits of one clip each, faultless until a test changes them, with stores of 40 frames."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "frames").mkdir()
        self.splits: dict[str, list[dict]] = {name: [self.clip(f"v_{name}")] for name in ("train", "val", "test")}

    def clip(self, video: str, **change: Any) -> dict:
        """Frames 10 to 30 at 2 a second: S1 is under way, completes, and S2 starts at once."""
        self.store(video)
        turns = [
            turn("user", 6.0, "What now?", start_frame=10, end_frame=13, dst_state={"S1": "in_progress"}),
            turn("assistant", 6.5, "Go on.", start_frame=13, end_frame=14, labels="responsive"),
            turn("DST_UPDATE", 10.0, [change_of("S1", "complete")], start_frame=14, end_frame=21),
            turn("DST_UPDATE", 10.0, [change_of("S2", "start")], start_frame=20, end_frame=21),
            turn("assistant", 10.2, "Good, now the wheel.", labels="initiative|instruction"),
        ]
        turns[3]["dst_state"] = {"S1": "completed"}
        turns[4]["dst_state"] = {"S1": "completed", "S2": "in_progress"}
        steps = [("S1", "Body", 2.0, 10.0), ("S2", "Wheel", 10.0, 15.5), ("S3", "Roof", 16.0, 18.0)]
        return {
            "video_uid": video,
            "dataset": "assembly101",
            "clip_idx": 0,
            "frames_file": f"frames/{video}.arrow",
            "start_frame_idx": 10,
            "end_frame_idx": 30,
            "fps": 2,
            "inferred_goal": "Build the truck",
            "inferred_knowledge": "The truck\n1. Body\n2. Wheel\n3. Roof",
            "dst": [
                {"type": "step", "id": id, "start_ts": begin, "end_ts": end, "name": name}
                for id, name, begin, end in steps
            ],
            "initial_dst_state": {"S1": "in_progress"},
            "conversation": [{"role": "system", "content": "Help."}, *turns],
            "max_seq_len": 4096,
            "metadata": {"user_type": "talk_some", "quality": 4},
        } | change

    def store(self, video: str, count: int = 40, **meta: Any) -> Path:
        path = self.folder / "frames" / f"{video}.arrow"
        write_frames(path, [jpeg(shade) for shade in range(count)], {"fps": 2} | meta, sync=False)
        return path

    def write(self) -> str:
        for split, clips in self.splits.items():
            (self.folder / f"{split}_training.json").write_text(json.dumps(clips, indent=1), encoding="utf-8")
        return str(self.folder)


def turn(role: str, time: float, content: Any, **more: Any) -> dict:
    return {"role": role, "time": time, "content": content} | more


def change_of(step: str, transition: str) -> dict:
    return {"id": step, "transition": transition}


def jpeg(shade: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (16, 8), (shade, 255 - shade, 40)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def clips(tmp_path) -> Clips:
    """Nothing is written before `write`."""
    (tmp_path / "clips").mkdir()
    return Clips(tmp_path / "clips")
