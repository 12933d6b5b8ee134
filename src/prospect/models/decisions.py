"""A vision-language model that watches streams: frames of a few tokens each, and two decisions read at frames.

Nothing here knows the model's family. A family adds one small file: a configuration with the fields of `check`, and a
class of `StreamModel` and its own model that says how pixels become a grid of connector features.

Shapes: B rows, T positions, D width, V vocabulary, N frames, I tokens a frame, F floats of a frame's token (the first D
enter the language model), G edge of the connector's grid, L learnt points, M decision points. A point is (row, column)
of a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import slice_logits_to_keep
from transformers.utils import ModelOutput, can_return_tuple

from prospect.conversation.segments import DECISIONS
from prospect.errors import UserError
from prospect.models.grids import pooled, tokens_of
from prospect.models.heads import BinaryDecisions, TokenDecisions, begin, uncast

HEADS, HEAD = ("binary", "token", "none"), ("linear", "mlp")
FRAMES = ("frame_pixels", "frame_features")


@dataclass
class StreamOutput(ModelOutput):
    """`logits` (L, V) at learnt points, or the base class's own; `decisions` (M, 2) float32: speak, dst."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    decisions: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    image_hidden_states: Any = None


class StreamModel:
    """Beside a `…ForConditionalGeneration`: frames in, the LM head on learnt rows only, decisions out."""

    config: Any
    model: Any
    lm_head: Any
    training: bool
    get_submodule: Any
    tower: tuple[str, ...]  # the family's: paths of the modules that make frames into features

    def __init__(self, config: Any):
        check(config)
        super().__init__(config)  # type: ignore[call-arg]
        width = config.text_config.hidden_size
        if config.heads != "none":
            self.decisions = BinaryDecisions(width, config.head) if config.heads == "binary" else TokenDecisions(width)
        self.post_init()  # type: ignore[attr-defined]

    def feature_grid(self, frame_pixels_NCHW: Tensor) -> Tensor:
        """What the family must say: the connector's output for each frame as a grid, (N, G, G, F)."""
        raise NotImplementedError

    def frame_features(self, frame_pixels_NCHW: Any) -> Tensor:
        """(N, I, F): the tokens of each frame, as they enter the language model."""
        dtype = next(self.model.parameters()).dtype
        return pooled(self.feature_grid(frame_pixels_NCHW.to(dtype)), self.config.frame_grid)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        frame_pixels: Tensor | None = None,
        frame_features: Tensor | None = None,
        learnt_points: Tensor | None = None,
        decision_points: Tensor | None = None,
        **kwargs: Any,
    ) -> StreamOutput:
        """The base class's arguments, and those of streams; without these the answer is the base class's."""
        if frame_pixels is not None or frame_features is not None:
            if pixel_values is not None:
                raise UserError("frames and pictures in one batch: their placeholders cannot be told apart")
            assert input_ids is not None, "frames stand in the places of image tokens"
            if frame_features is None:
                frame_features = self.frame_features(frame_pixels)
        pictures = {"pixel_values": pixel_values, "pixel_attention_mask": pixel_attention_mask}
        outputs = self.decoded(
            input_ids,
            frame_features,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **{name: value for name, value in pictures.items() if value is not None},
            **kwargs,
        )
        hidden_BTD = outputs.last_hidden_state
        if learnt_points is None:
            logits = self.lm_head(slice_logits_to_keep(hidden_BTD, logits_to_keep))
        else:
            logits = self.lm_head(at(hidden_BTD, learnt_points))
        logits, decisions = self._decided(hidden_BTD, logits, decision_points)
        return StreamOutput(
            loss=None if labels is None else self._loss(logits, labels, learnt_points, **kwargs),
            logits=logits,
            decisions=decisions,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.get("image_hidden_states"),  # not every family tells them
        )

    def decoded(self, ids_BT: Tensor | None, features_NIF: Tensor | None, **inputs: Any) -> Any:
        """The language model's states, with `last_hidden_state`. Features, if any, stand in the places of frames."""
        if features_NIF is None:
            return self.model(input_ids=ids_BT, **inputs)
        assert ids_BT is not None
        return self.model(**{**inputs, "inputs_embeds": self.with_frames(ids_BT, features_NIF)})

    def walked(self, ids_BT: Tensor, attention_BT: Tensor, frames: int) -> tuple[Tensor, Tensor] | None:
        """Positions (A, B, T) in A coordinates, counted from 0, and the place (B, T) of what would follow each token.

        None where every token takes one place.
        """
        return None

    def with_frames(self, ids_BT: Tensor, features_NIF: Tensor) -> Tensor:
        """Embeddings with the frames' tokens, in order, in the places that are kept for them."""
        embeds_BTD = self.get_input_embeddings()(ids_BT)  # type: ignore[attr-defined]
        slots_BT = ids_BT == self.config.image_token_id
        frames, each, width = features_NIF.shape
        if (each, width) != (tokens := frame_tokens(self.config), self.config.feature_width):
            raise UserError(
                f"frames of {each} tokens × {width}, but this model's are of {tokens} × {self.config.feature_width} "
                f"(frame_grid {self.config.frame_grid or 'native'}): encode the features again for this model"
            )
        if not slots_BT.is_meta and (kept := int(slots_BT.sum())) != frames * each:
            raise UserError(f"{kept} image tokens in the batch, but {frames} frames × {each} = {frames * each} to fill")
        first_NID = features_NIF[..., : embeds_BTD.shape[2]]
        return embeds_BTD.masked_scatter(slots_BT[..., None], first_NID.to(embeds_BTD))

    def _decided(self, hidden_BTD: Tensor, logits: Tensor, points_M2: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Decisions at points. In training, a batch without points, or without learnt rows, still reaches every
        trained weight by way of a zero: ranks of a distributed run wait for each other's gradients of each."""
        if self.config.heads == "none":
            return logits, None
        if points_M2 is None and not self.training:
            return logits, None
        points = torch.empty((0, 2), dtype=torch.long, device=hidden_BTD.device) if points_M2 is None else points_M2
        decisions_M2 = self._decisions(at(hidden_BTD, points))
        if self.training and not len(points):
            logits = logits + decisions_M2.sum().to(logits)
        elif self.training and not len(logits):
            decisions_M2 = decisions_M2 + logits.sum().to(decisions_M2)
        return logits, None if points_M2 is None else decisions_M2

    def _decisions(self, hidden_MD: Tensor) -> Tensor:
        with uncast(hidden_MD):
            logits = self.decisions(hidden_MD)
            if self.config.heads == "binary":
                return logits
            four_M4 = logits + self._token_logits(hidden_MD)
        return four_M4[:, ::2] - four_M4[:, 1::2]  # yes - no

    def _token_logits(self, hidden_MD: Tensor) -> Tensor:
        ids = self.config.decision_tokens
        if type(self.lm_head) is nn.Linear:
            return hidden_MD.float() @ self.lm_head.weight[ids].float().T
        return self.lm_head(hidden_MD)[:, ids].float()  # an adapter sits on it: its part counts, so ask it as a whole

    def _loss(self, logits: Tensor, labels: Tensor, learnt_points: Tensor | None, **kwargs: Any) -> Tensor:
        assert learnt_points is None, "labels are those of all positions; at learnt points the caller has the targets"
        vocabulary = self.config.text_config.vocab_size
        return self.loss_function(logits=logits, labels=labels, vocab_size=vocabulary, **kwargs)  # type: ignore[attr-defined]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[misc]
        begin(module)

    def prepare_inputs_for_generation(self, *args: Any, is_first_iteration: bool | None = False, **kwargs: Any) -> Any:
        """Frames are in the cache after the first step."""
        if not is_first_iteration and kwargs.get("use_cache", True):
            kwargs = {name: value for name, value in kwargs.items() if name not in FRAMES}
        prepare = super().prepare_inputs_for_generation  # type: ignore[misc]
        return prepare(*args, is_first_iteration=is_first_iteration, **kwargs)

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Any = None, **kwargs: Any
    ) -> Any:
        if expand_size > 1 and any(kwargs.get(name) is not None for name in FRAMES):
            raise UserError("from frames one answer at a time is generated: no beams, num_return_sequences=1")
        expand = super()._expand_inputs_for_generation  # type: ignore[misc]
        return expand(expand_size, is_encoder_decoder, input_ids, **kwargs)


def check(config: Any) -> None:
    """Of any family: `heads`, `head`, `frame_grid` (None is native), `decision_tokens`, and `connector_side`, G."""
    if config.heads not in HEADS or config.head not in HEAD:
        raise UserError(
            f"heads is one of {', '.join(HEADS)}, not {config.heads}; head is linear or mlp, {config.head=}"
        )
    if config.heads == "token" and len(config.decision_tokens or []) != 2 * len(DECISIONS):
        raise UserError("heads=token needs decision_tokens: the ids of four spare tokens (speak yes, no, dst yes, no)")
    frame_tokens(config)


def frame_tokens(config: Any) -> int:
    """I, the tokens of a frame."""
    return tokens_of(config.frame_grid, config.connector_side)


def at(hidden_BTD: Tensor, points_P2: Tensor) -> Tensor:
    """(P, D): the states at points."""
    rows_P, columns_P = points_P2.to(hidden_BTD.device).unbind(1)
    return hidden_BTD.flatten(0, 1).index_select(0, rows_P * hidden_BTD.shape[1] + columns_P)
