"""The same data as a `datasets` folder gives the same samples."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from prospect.data.element.dataset import element
from prospect.errors import UserError

datasets = pytest.importorskip("datasets")
NAMES = ["fire", "land", "metal", "water", "wood"]


def encoded(shade):
    raw = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(raw, "PNG")
    return {"bytes": raw.getvalue(), "path": "image0.png"}  # every embedded picture may have the same name


def table(shades, labels, **columns):
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    features |= {name: datasets.Value("string") for name in columns}
    data = {"image": [encoded(shade) for shade in shades], "label": labels} | columns
    return datasets.Dataset.from_dict(data, features=datasets.Features(features))


def test_a_dataset_dict_with_class_labels(tmp_path):
    parts = {"train": table(range(5), range(5), reason=["r"] * 5), "validation": table([9], [0], reason=["r"])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "d")
    data = element(str(tmp_path / "d"))
    assert [sample.meta["label"] for sample in data.splits["train"]] == NAMES
    assert [sample.turns[-1].text for sample in data.splits["val"]] == ["fire"]
    assert data.splits["train"][3].pictures[0].open().getpixel((0, 0)) == (3, 0, 0)


def test_a_single_table_is_split_by_what_the_pictures_are(tmp_path):
    table([n // 2 for n in range(60)], [n // 2 % 5 for n in range(60)]).save_to_disk(tmp_path / "d")  # all twice
    data = element(str(tmp_path / "d"), val_share=0.3, test_share=0.3)
    sources = {name: {sample.pictures[0].source for sample in split} for name, split in data.splits.items()}
    assert all(sources.values())
    assert not sources["train"] & sources["val"]
    assert not sources["train"] & sources["test"]


def test_an_unlabelled_row_is_named(tmp_path):
    datasets.DatasetDict({"train": table([1, 2], [0, -1])}).save_to_disk(tmp_path / "d")
    with pytest.raises(UserError, match=r"train\[1\]: unknown label"):
        element(str(tmp_path / "d"))
    assert len(element(str(tmp_path / "d"), on_bad="skip", val_share=0, test_share=0).splits["train"]) == 1


def test_columns_and_splits_that_do_not_fit_are_named(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "d")
    with pytest.raises(UserError, match=r"columns \['text'\]"):
        element(str(tmp_path / "d"))
    datasets.DatasetDict({"holdout": table([1], [0])}).save_to_disk(tmp_path / "e")
    with pytest.raises(UserError, match="unknown split 'holdout'"):
        element(str(tmp_path / "e"))
