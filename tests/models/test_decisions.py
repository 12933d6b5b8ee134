"""Frames become exactly the tokens that are kept for them; logits and decisions are those of a full forward."""

import socket

import pytest
import torch
import torch.multiprocessing as processes

from prospect.errors import UserError
from prospect.models.adapt import lora
from prospect.models.decisions import at
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

KINDS = [StreamSettings(), StreamSettings(head="mlp"), StreamSettings(heads="token")]
IDS = torch.randint(10, 300, (2, 14), generator=torch.Generator().manual_seed(1))
LEARNT, DECIDED = torch.tensor([[0, 8], [0, 9], [1, 3]]), torch.tensor([[0, 2], [0, 11], [1, 5], [1, 12]])


def watching(settings: StreamSettings = KINDS[0], **options) -> VLM:
    return for_streams(tiny(device="cpu", stream=settings, **options), seed=2)


def with_frames(vlm: VLM, frames: int = 2, seed: int = 3) -> dict[str, torch.Tensor]:
    """Both rows begin with `frames` frames."""
    ids = IDS.clone()
    ids[:, 1 : 1 + frames * vlm.frame_tokens] = vlm.image_token_id
    return {
        "input_ids": ids,
        "frame_pixels": torch.randn(2 * frames, 3, 32, 32, generator=torch.Generator().manual_seed(seed)),
    }


# --- frames in


@pytest.mark.parametrize("grid", [[1], [1, 2], [1, 3]])
def test_frames_take_the_places_of_their_tokens_in_order(grid):
    vlm = watching(StreamSettings(frame_grid=grid), scale_factor=1)
    inputs = with_frames(vlm, frames=1)
    features = vlm.model.frame_features(inputs["frame_pixels"])
    embeds = vlm.model.get_input_embeddings()(inputs["input_ids"])
    for row in range(2):
        for token in range(vlm.frame_tokens):
            embeds[row, 1 + token] = features[row, token]
    expected = vlm.model(inputs_embeds=embeds).logits
    assert torch.equal(vlm.model(**inputs).logits, expected)


def test_a_frame_of_the_neutral_colour_is_a_frame():
    """transformers drops a tile whose pixels are all exactly 0, which would shift every later frame by one."""
    vlm = watching()
    inputs = with_frames(vlm)
    inputs["frame_pixels"][1] = 0
    before = vlm.model(**inputs).logits
    inputs["frame_pixels"][1] = 1e-7
    assert torch.allclose(vlm.model(**inputs).logits, before, atol=1e-5)


def test_counts_that_disagree_are_named():
    vlm = watching()
    inputs = with_frames(vlm)
    with pytest.raises(UserError, match="4 image tokens in the batch, but 3 frames × 1 = 3"):
        vlm.model(input_ids=inputs["input_ids"], frame_pixels=inputs["frame_pixels"][:3])
    with pytest.raises(UserError, match="frames of 2 tokens × 96, but this model's are of 1 × 96"):
        vlm.model(input_ids=inputs["input_ids"], frame_features=torch.zeros(2, 2, 96))
    with pytest.raises(UserError, match="frames and pictures in one batch"):
        vlm.model(**inputs, pixel_values=torch.zeros(1, 1, 3, 32, 32))


def test_pictures_are_read_as_by_the_plain_model():
    plain, vlm = tiny(device="cpu").model, watching().model
    ids, pixels = IDS.clone(), torch.randn(1, 2, 3, 32, 32)
    ids[:, 4] = plain.config.image_token_id
    for options in ({}, {"logits_to_keep": 2}, {"labels": ids}):
        ours = vlm(input_ids=ids, pixel_values=pixels, **options)
        theirs = plain(input_ids=ids, pixel_values=pixels, **options)
        assert torch.equal(ours.logits, theirs.logits)
        assert ours.loss == theirs.loss
        assert ours.decisions is None


# --- logits and decisions out


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("settings", KINDS)
def test_points_are_rows_of_a_full_forward(settings, attention):
    vlm = watching(settings, attention=attention)
    inputs = with_frames(vlm)
    whole = vlm.model(**inputs, output_hidden_states=True)
    some = vlm.model(**inputs, learnt_points=LEARNT, decision_points=DECIDED)
    assert some.logits.shape == (3, vlm.model.config.text_config.vocab_size)
    assert torch.allclose(some.logits, whole.logits[LEARNT[:, 0], LEARNT[:, 1]], atol=1e-5)
    hidden = whole.hidden_states[-1][DECIDED[:, 0], DECIDED[:, 1]]  # transformers' last one is behind the final norm
    assert torch.allclose(some.decisions, by_hand(vlm, hidden, whole.logits[DECIDED[:, 0], DECIDED[:, 1]]), atol=1e-5)


def by_hand(vlm: VLM, hidden: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    heads, config = vlm.model.decisions, vlm.model.config
    if config.heads == "token":
        four = logits[:, config.decision_tokens]
        return torch.stack([four[:, 0] - four[:, 1], four[:, 2] - four[:, 3]], dim=1)  # the delta is still zero
    if config.head == "mlp":
        hidden = heads.hidden(hidden)
        hidden = hidden * hidden.sigmoid()
    return heads.out(hidden)


def test_a_delta_adds_to_the_rows_of_the_lm_head():
    vlm = watching(StreamSettings(heads="token"))
    inputs = with_frames(vlm) | {"decision_points": DECIDED}
    before = vlm.model(**inputs).decisions
    hidden = vlm.model(**inputs, output_hidden_states=True).hidden_states[-1]
    torch.nn.init.normal_(vlm.model.decisions.delta)
    shift = at(hidden, DECIDED) @ (vlm.model.decisions.delta[::2] - vlm.model.decisions.delta[1::2]).T
    assert torch.allclose(vlm.model(**inputs).decisions, before + shift, atol=1e-4)


def test_token_decisions_see_an_adapter_on_the_lm_head():
    vlm = watching(StreamSettings(heads="token"))
    vlm.model.config.tie_word_embeddings = False
    vlm.model.lm_head.weight = torch.nn.Parameter(vlm.model.lm_head.weight.detach().clone())
    adapted = lora(vlm, targets=[r"lm_head"])
    with torch.no_grad():
        adapted.model.base_model.model.lm_head.lora_B["default"].weight.normal_()
    adapted.model.eval()
    outputs = adapted.model(**with_frames(vlm), decision_points=DECIDED)
    rows = at(outputs.logits, DECIDED)[:, vlm.model.config.decision_tokens]
    assert torch.allclose(outputs.decisions, rows[:, ::2] - rows[:, 1::2], atol=1e-5)


@pytest.mark.parametrize("settings", KINDS)
def test_decisions_are_float32_under_bfloat16_and_autocast(settings):
    exact = watching(settings).model(**with_frames(watching()), decision_points=DECIDED).decisions
    coarse = watching(settings, dtype="bfloat16").model(**with_frames(watching()), decision_points=DECIDED).decisions
    assert coarse.dtype == torch.float32
    assert (coarse - exact).abs().max() < 0.2
    vlm = watching(settings)
    hidden = torch.randn(4, 96)
    expected = vlm.model._decisions(hidden)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(vlm.model._decisions(hidden), expected)


def test_without_heads_there_are_no_decisions_and_no_module():
    vlm = watching(StreamSettings(heads="none"))
    outputs = vlm.model.train()(**with_frames(vlm), learnt_points=LEARNT, decision_points=DECIDED)
    assert outputs.decisions is None
    assert "decisions" not in dict(vlm.model.named_children())


@pytest.mark.parametrize("settings", KINDS)
def test_gradients_are_the_same_with_checkpointing(settings):
    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        vlm = watching(settings)
        vlm.model.train()
        if checkpointing:
            vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        outputs = vlm.model(**with_frames(vlm), learnt_points=LEARNT, decision_points=DECIDED, use_cache=False)
        (outputs.logits.square().mean() + outputs.decisions.square().mean()).backward()
        return {name: parameter.grad for name, parameter in vlm.model.named_parameters()}

    plain, saving = gradients(False), gradients(True)
    assert all(gradient.abs().max() > 0 for gradient in plain.values())
    assert all(torch.allclose(plain[name], saving[name], atol=1e-6) for name in plain)


# --- generation


def test_generation_is_the_plain_models():
    plain, vlm = tiny(device="cpu").model, watching().model
    ids, pixels = IDS.clone(), torch.randn(1, 2, 3, 32, 32)
    ids[:, 4] = plain.config.image_token_id
    options = {"input_ids": ids, "pixel_values": pixels, "max_new_tokens": 8, "do_sample": False}
    assert torch.equal(vlm.generate(**options), plain.generate(**options))


@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_from_frames_is_greedy_on_full_forwards(use_cache):
    vlm = watching()
    inputs = with_frames(vlm)
    ids = inputs["input_ids"]
    got = vlm.model.generate(**inputs, max_new_tokens=4, do_sample=False, eos_token_id=None, use_cache=use_cache)
    for _ in range(4):
        logits = vlm.model(input_ids=ids, frame_pixels=inputs["frame_pixels"]).logits[:, -1]
        ids = torch.cat([ids, logits.argmax(dim=-1, keepdim=True)], dim=1)
    assert torch.equal(got, ids)


def test_several_answers_from_the_same_frames_are_refused():
    vlm = watching()
    with pytest.raises(UserError, match="one answer"):
        vlm.model.generate(**with_frames(vlm), max_new_tokens=2, do_sample=True, num_return_sequences=2)


# --- several processes


def _step(rank: int, port: int, kind: int, adapter: bool, answers) -> None:
    """Rank 0 has learnt rows and no decision points, rank 1 decision points and no learnt rows, then the reverse."""
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    vlm = watching(KINDS[kind])
    model = DistributedDataParallel((lora(vlm, rank=2) if adapter else vlm).model.train())
    nowhere = torch.empty((0, 2), dtype=torch.long)
    for step in range(3):
        spoken, decided = (LEARNT, None) if (rank + step) % 2 else (nowhere, DECIDED)
        outputs = model(**with_frames(vlm), learnt_points=spoken, decision_points=decided, use_cache=False)
        loss = outputs.logits.square().sum() if decided is None else outputs.decisions.square().sum()
        loss.backward()
    answers[rank] = sum(p.grad.double().sum().item() for p in model.parameters() if p.requires_grad)
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.parametrize(("kind", "adapter"), [(1, False), (2, False), (0, True)])
def test_ranks_with_and_without_points_do_not_wait_for_each_other(kind, adapter):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with processes.Manager() as manager:
        answers = manager.dict()
        processes.spawn(_step, (port, kind, adapter, answers), nprocs=2)
        assert answers[0] == pytest.approx(answers[1])
