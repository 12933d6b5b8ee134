"""A vision-language model with everything that is needed to talk to it: the one object that the other rooms see."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from prospect.conversation.pieces import Pieces
from prospect.conversation.sample import Frames, Sample
from prospect.conversation.segments import Segment
from prospect.errors import UserError
from prospect.models.base import INSIDE, Base, base_inside
from prospect.models.decisions import StreamModel, frame_tokens
from prospect.models.family import Family, family_of
from prospect.models.frames import FrameLayout, frame_layout
from prospect.models.grids import tokens_of
from prospect.models.layout import Layout
from prospect.models.parts import part_of
from prospect.models.stream_settings import StreamSettings, write_record


@dataclass
class VLM:
    """`origin`: where the weights lie on disk, if they do. `adapter_base`: set while a LoRA adapter is in place.

    `stream`: how frames are seen and decided at, once `for_streams` has made this model watch streams.
    """

    model: Any  # a PreTrainedModel, or the PeftModel around it
    tokenizer: PreTrainedTokenizerFast
    images: Layout
    origin: Base | None = None
    adapter_base: Base | None = None
    stream: StreamSettings | None = None

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def sharded(self) -> bool:
        """Its parameters are spread over several processes, so it runs on all of them or not at all."""
        return isinstance(self.model, FSDPModule)

    @property
    def bare(self) -> PreTrainedModel:
        """The transformers model itself; with an adapter in place its layers are inside, and active."""
        return self.model.get_base_model() if self.adapter_base else self.model

    @property
    def family(self) -> Family:
        return family_of(self.bare.config)

    @property
    def image_token_id(self) -> int:
        return self.model.config.image_token_id

    @property
    def max_length(self) -> int:
        """The longest sequence that the model has positions for."""
        return self.model.config.text_config.max_position_embeddings

    @property
    def frame_tokens(self) -> int:
        """Image tokens a frame of a stream; of a plain model those that it will have."""
        if isinstance(self.bare, StreamModel):
            return frame_tokens(self.bare.config)
        return tokens_of((self.stream or StreamSettings()).edges, self.images.side)

    @property
    def frame_layout(self) -> FrameLayout:
        """How frames become pixels: picklable, for workers."""
        return frame_layout(self.images)

    def frame_inputs(self, frames: Sequence[Frames]) -> dict[str, torch.Tensor]:
        """What forward takes for all frames of a batch, in the order of their tokens."""
        return self.frame_layout.inputs(frames)

    def chat(self, sample: Sample, reply: bool = True) -> list[Segment]:
        """A sample in the model's own chat format; with reply=False only what comes before the last reply."""
        return self.family.format.chat(sample, self.images.segments, self.frame_tokens, reply)

    @property
    def pieces(self) -> Pieces:
        """The same format piece by piece, for streams as they come."""
        return Pieces(self.family.format, self.tokenizer, self.frame_tokens)

    def learnt_texts(self, sample: Sample) -> list[str]:
        """What the learnt tokens of each supervised turn must decode to: with Qwen's tokenizer, in normal form C."""
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        texts = self.family.format.learnt_texts(sample)
        return texts if normalizer is None else [normalizer.normalize_str(text) for text in texts]

    def save(self, folder: Path, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """Write an ordinary transformers folder; with an adapter the adapter alone, and a record of its base.

        `state_dict`: the whole weights, where the model itself holds only this process's part of them.
        """
        assert state_dict or not self.sharded, "a part of the weights is no model"
        if self.device.type == "meta":
            raise UserError("device=meta holds shapes and no weights, so there is nothing to save")
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        self.images.write(folder)
        with no_bars():
            if self.adapter_base is None:
                self.model.save_pretrained(folder, state_dict=state_dict)
            else:
                self._save_adapter(folder, self.adapter_base, state_dict)

    def _save_adapter(self, folder: Path, base: Base, state_dict: dict[str, torch.Tensor] | None) -> None:
        if base.source is None:
            without_adapters(self.model).save_pretrained(folder / INSIDE)
            base = base_inside(folder)
        for config in self.model.peft_config.values():
            # PEFT would ask the hub whether the base's embeddings grew; ours never do under an adapter.
            config.base_model_name_or_path = str(base.folder)
        self.model.save_pretrained(str(folder), save_embedding_layers=False, state_dict=state_dict)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        base.write(folder, self.adapter)
        if isinstance(self.bare, StreamModel):
            write_record(self.bare.config, folder)

    @property
    def adapters(self) -> list[str]:
        """Names of the adapters on the base, of which one is in use."""
        return list(self.model.peft_config) if self.adapter_base else []

    @property
    def adapter(self) -> str:
        """The one in use."""
        assert self.adapter_base, "there is no adapter"
        return self.model.active_adapter

    def use(self, name: str) -> None:
        """Put another adapter of this model to use, its heads and its fully trained modules included."""
        if name not in self.adapters:
            raise UserError(f"there is no adapter {name}; there are {', '.join(self.adapters) or 'none'}")
        self.model.set_adapter(name, inference_mode=not self.model.training)

    def _stands_by(self, name: str, names: Collection[str]) -> bool:
        """Whether a parameter is another adapter's, or the untrained twin that PEFT keeps of one in use."""
        if not self.adapter_base:
            return False
        twin = name.replace(".original_module.", f".modules_to_save.{self.adapter}.")
        others = {other for other in self.adapters if other != self.adapter}
        return (twin != name and twin in names) or not others.isdisjoint(name.split("."))

    def parameter_counts(self) -> dict[str, int]:
        """Parameters in total, trainable, and by part. Tied weights count once, adapters that are not in use never."""
        counts = Counter(total=0, trainable=0, vision=0, connector=0, language=0)
        if isinstance(self.bare, StreamModel):
            counts["heads"] = 0
        parameters = dict(self.model.named_parameters())
        for name, parameter in parameters.items():
            if self._stands_by(name, parameters):
                continue
            size = parameter.numel() * (2 if parameter.dtype == torch.uint8 else 1)  # two numbers of four bits a byte
            counts.update({"total": size, "trainable": size * parameter.requires_grad, part_of(name): size})
        return dict(counts)


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep transformers' progress bars out of a run's log."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def without_adapters(model: Any, shared: dict[int, Any] | None = None) -> PreTrainedModel:
    """A copy of the model as it was before its adapters. PEFT's unload alone would leave fully trained modules in.

    `shared`: weights, by their identity, that are not to be copied.
    """
    from peft.utils import ModulesToSaveWrapper

    model = copy.deepcopy(model, shared)
    for module in model.modules():
        if isinstance(module, ModulesToSaveWrapper):
            for trained in module.modules_to_save.values():
                trained.load_state_dict(module.original_module.state_dict())
    return model.unload()
