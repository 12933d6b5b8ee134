"""Every published example of NanoVLM-Lab runs: the line that it is here, on the tiny model and rows of its shape."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image
from tests.commands import trained

from prospect.runs.convert.__main__ import read
from prospect.runs.convert.sections import converted

OLD = Path(__file__).parent / "old"
COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200)}
REWARD = "def short(prompts, completions, answer, **more):\n    return [1 / (1 + len(text)) for text in completions]\n"
ROWS = {
    "sft": lambda colour, other: {"texts": [{"user": "Which colour?", "assistant": colour}]},
    "dpo": lambda colour, other: {"prompt": "Which colour?", "chosen": colour, "rejected": other},
    "grpo": lambda colour, other: {"prompt": "Which colour?", "answer": colour, "difficulty": "easy"},
}


def drawn(folder: Path, kind: str) -> Path:
    """`train` and `test`, with pictures that all differ."""
    folder.mkdir()
    for split, count, edge in (("train", 300, 20), ("test", 6, 50)):
        rows = []
        for number in range(count):
            colour, other = ("red", "blue") if number % 2 else ("blue", "red")
            name = f"{split}-{number}.png"
            Image.new("RGB", (edge + number % 17, edge + number // 17), COLOURS[colour]).save(folder / name)
            rows.append({"images": [name], **ROWS[kind](colour, other)})
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.stem for file in OLD.glob("*.yaml")))
def test_the_line_trains(name, tmp_path):
    old = read(OLD / f"{name}.yaml")
    (tmp_path / "reward_functions.py").write_text(REWARD)
    words = shlex.split(str(converted(old, tmp_path)))[2:]
    kept = [word for word in words if not word.startswith(("model", "data.path=", "hydra.run.dir="))]
    data = drawn(tmp_path / "rows", old["training_type"])
    run = trained(tmp_path, "model=tiny", *kept, f"data.path={data}", "trainer.args.max_steps=2")
    assert json.loads((run / "metrics.json").read_text())["train/steps"] == 2
