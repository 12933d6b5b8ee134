"""Which parameters move under real steps is exactly what was asked: in every mode and family, plain and watching.
All that has moved comes back bit for bit, and merged says the same.

A family joins with one line of FAMILIES: how it is made, and what its parts are called.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.models import nanovlms
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, TrainingArguments

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.models import adapt
from prospect.models.nanovlm import nanovlm
from prospect.models.stream import for_streams
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.models.vlm import VLM
from prospect.training.collate import Item, collator
from prospect.training.optimizers import by_part, rates_of

SMOLVLM = (r"model\.vision_model\.", r"model\.connector\.", r"model\.text_model\.|lm_head\.")
QWEN = (
    r"model\.visual\.(patch_embed|pos_embed|blocks)\.",
    r"model\.visual\.\w*merger",
    r"model\.language_model\.|lm_head\.",
)


def small_nanovlm(path: str | None = None, **options) -> VLM:
    if path:
        return nanovlm(path, **options)
    with tempfile.TemporaryDirectory() as folder:
        return nanovlms.small(Path(folder), **options)


FAMILIES = {"smolvlm": (tiny, SMOLVLM), "qwen3_vl": (tiny_qwen3_vl, QWEN), "nanovlm": (small_nanovlm, SMOLVLM)}

PROJECTIONS = r"model\.(text|language)_model\.layers\.\d\..*_proj"
TOWER = r".*\.(qkv|(q|k|v)_proj)"
# What is asked -> the parts that move, and the layers that get updates beside them.
FULL = {
    "all": ({}, "vision connector language heads", None),
    "frozen vision": ({"freeze": ["vision"]}, "connector language heads", None),
    "frozen connector": ({"freeze": ["connector"]}, "vision language heads", None),
    "frozen language": ({"freeze": ["language"]}, "vision connector heads", None),
    "frozen heads": ({"freeze": ["heads"]}, "vision connector language", None),
    "frozen by path": ({"freeze": [r"model\.(vision_model|visual)", "projector"]}, "language heads", None),
}
LORA = {
    "lora": ({}, "heads", PROJECTIONS),
    "lora and a connector": ({"train": ["connector"]}, "connector heads", PROJECTIONS),
    "lora and a tower": ({"train": ["vision", "projector"]}, "vision connector heads", PROJECTIONS),
    "lora with ranks": ({"targets": [TOWER], "ranks": {"vision": 2}}, "heads", TOWER),
    "lora by name": ({"name": "user-11"}, "heads", PROJECTIONS),
}
PICTURES = [Image.effect_noise((32, 32), 90).convert("RGB") for _ in range(3)]
CASES = [
    (family, watches, mode)
    for family in FAMILIES
    for watches in (False, True)
    for mode in (FULL | LORA)
    if watches or mode != "frozen heads"
]


def made(family: str, watches: bool) -> VLM:
    vlm = FAMILIES[family][0](seed=1, device="cpu")
    return for_streams(vlm, seed=2) if watches else vlm


def adapted(vlm: VLM, mode: str) -> VLM:
    return adapt.full(vlm, **FULL[mode][0]) if mode in FULL else adapt.lora(vlm, rank=4, dropout=0.0, **LORA[mode][0])


def inputs(vlm: VLM, watches: bool) -> dict[str, torch.Tensor]:
    if watches:
        ids = torch.randint(10, 300, (2, 14), generator=torch.Generator().manual_seed(1))
        ids[0, [3, 7]] = ids[1, 5] = vlm.image_token_id
        points = torch.tensor([[0, 3], [0, 7], [1, 5]])
        return {"input_ids": ids, "frame_pixels": vlm.frame_layout.pixels(PICTURES, 3), "decision_points": points}
    samples = [Sample("s", (Turn("user", (Picture(p), "Which one?")), Turn("assistant", ("wood",)))) for p in PICTURES]
    batch = collator(vlm)([Item(sample, encode(vlm.chat(sample), vlm.tokenizer)) for sample in samples])
    names = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")
    return {name: batch[name] for name in names if name in batch}


def loss(vlm: VLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    outputs = vlm.model(**batch, use_cache=False)
    words = cross_entropy(outputs.logits[:, :-1].flatten(0, 1), batch["input_ids"][:, 1:].flatten())
    return words + outputs.decisions.square().mean() if "decision_points" in batch else words


def stepped(vlm: VLM, batch: dict[str, torch.Tensor], steps: int = 3) -> None:
    vlm.model.train()
    optimizer = torch.optim.AdamW([p for p in vlm.model.parameters() if p.requires_grad], lr=3e-3, eps=1e-30)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(vlm, batch).backward()
        optimizer.step()
    vlm.model.eval()


def tensors(vlm: VLM) -> dict[str, torch.Tensor]:
    """By the name that a parameter has in the plain model; what an adapter leaves behind it as `kept …`."""
    found = {}
    for name, parameter in vlm.model.named_parameters(remove_duplicate=False):
        name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        name = re.sub(r"\.modules_to_save\.[\w-]+|(?<=\.lora_[AB])\.[\w-]+", "", name)
        found[f"kept {name}" if ".original_module." in name else name] = parameter.detach().clone()
    return found


def expected(plain: PreTrainedModel, family: str, parts: str, layers: str | None) -> set[str]:
    """`parts` none: no parameter of the model itself."""
    paths = dict(zip(("vision", "connector", "language"), FAMILIES[family][1], strict=True)) | {"heads": r"decisions\."}
    paths["none"] = "-"
    moving = "|".join(f"({paths[part]})" for part in parts.split())
    names = {name for name, _ in plain.named_parameters(remove_duplicate=False) if re.match(moving, name)}
    adapted = [name for name, _ in plain.named_modules() if layers and re.fullmatch(layers, name)]
    return names | {f"{name}.lora_{side}.weight" for name in adapted for side in "AB"}


@pytest.mark.parametrize(("family", "watches", "mode"), CASES, ids=lambda value: str(value))
def test_what_moves_is_what_was_asked(tmp_path, family, watches, mode):
    plain = made(family, watches)
    _, parts, layers = (FULL | LORA)[mode]
    wanted = expected(plain.model, family, parts if watches else parts.replace("heads", "").strip() or "none", layers)
    plain.save(tmp_path / "base")
    vlm = adapted(FAMILIES[family][0](path=str(tmp_path / "base"), device="cpu"), mode)
    before, batch = tensors(vlm), inputs(vlm, watches)
    stepped(vlm, batch)
    after = tensors(vlm)
    assert {name for name, value in after.items() if not torch.equal(value, before[name])} == wanted
    vlm.save(tmp_path / "trained")
    again = FAMILIES[family][0](path=str(tmp_path / "trained"), device="cpu")
    found = tensors(again)
    assert found.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in found.items() if not name.startswith("kept "))
    said, merged = told(vlm, batch), told(adapt.merged(vlm), batch)
    assert torch.equal(told(again, batch), said)
    assert (merged - said).abs().max() <= 1e-5


def told(vlm: VLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        outputs = vlm.model(**batch)
    return torch.cat([x.flatten() for x in (outputs.logits, outputs.get("decisions")) if x is not None])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_part_has_its_own_learning_rate(family, tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), learning_rate=3e-4, use_cpu=True, optim="adamw_torch")
    vlm = made(family, watches=True)
    rates = rates_of(vlm.model, {"vision": 1e-4, "projector": 2e-4, "heads": 4e-4})
    assert rates == {"vision": 1e-4, "connector": 2e-4, "heads": 4e-4}
    optimizer = by_part(vlm.model, args, rates, decaying=[])
    names = {parameter: name for name, parameter in vlm.model.named_parameters()}
    for part, rate in {**rates, "language": 3e-4}.items():
        own = {names[p] for group in optimizer.param_groups if group["lr"] == rate for p in group["params"]}
        every = expected(vlm.model, family, part, None)
        assert own == every & set(names.values())
