"""A plain model becomes one that watches streams, and only when it is asked to."""

import json

import pytest
import torch
from peft import PeftModel
from tests.models.watchers import BINARY, KINDS, MLP, TOKEN, batch, heads, moved, watching

from prospect.errors import UserError
from prospect.models.adapt import lora
from prospect.models.heads import BinaryDecisions, TokenDecisions
from prospect.models.smolvlm import architecture, smolvlm2
from prospect.models.stream import decision_tokens, for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM


def test_a_plain_model_keeps_its_weights_and_its_answers():
    plain, vlm = tiny(device="cpu"), watching()
    state = vlm.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.model.state_dict().items())
    ids = batch(vlm)["input_ids"]
    pixels = torch.randn(1, 6, 3, 32, 32)
    assert torch.equal(
        vlm.model(input_ids=ids, pixel_values=pixels).logits, plain.model(input_ids=ids, pixel_values=pixels).logits
    )
    assert vlm.model.lm_head.weight is vlm.model.get_input_embeddings().weight
    assert vlm.model.generation_config.eos_token_id == plain.model.generation_config.eos_token_id


def test_a_plain_model_stays_what_it_was():
    counts = tiny(device="cpu", stream=TOKEN).parameter_counts()
    assert counts == tiny(device="cpu").parameter_counts()
    assert "heads" not in counts


def test_nothing_is_copied():
    plain = tiny(device="cpu")
    pointers = {name: value.data_ptr() for name, value in plain.model.named_parameters()}
    vlm = for_streams(plain)
    assert pointers.items() <= {name: value.data_ptr() for name, value in vlm.model.named_parameters()}.items()


def test_settings_of_the_text_model_reach_the_modules():
    """Modules and model look at the same configuration objects, so a change of one is seen by the other."""
    model = watching().model
    assert model.model.config is model.config
    assert model.model.text_model.config is model.config.text_config
    model.set_attn_implementation("eager")
    assert model.model.text_model.layers[0].self_attn.config._attn_implementation == "eager"


def test_the_seed_decides_the_heads_and_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = (heads(watching(seed=seed))["out.weight"] for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_new_heads_are_silent_and_of_the_models_type(settings, dtype):
    vlm = watching(settings, dtype=dtype)
    assert {parameter.dtype for parameter in vlm.model.parameters()} == {getattr(torch, dtype)}
    outputs = vlm.model(**batch(vlm))
    assert outputs.decisions.dtype == torch.float32
    if settings.heads == "binary":
        assert (outputs.decisions.sigmoid() < 0.4).all()


def test_an_adapter_without_heads_is_merged_before_the_heads_come(caplog):
    with_adapter = moved(lora(tiny(device="cpu")))
    ids = batch(with_adapter)["input_ids"][:, :2]
    before = with_adapter.model.eval()(input_ids=ids).logits
    vlm = for_streams(with_adapter)
    assert "merged into its base" in caplog.text
    assert (vlm.model(input_ids=ids).logits - before).abs().max() <= 1e-5


def test_other_settings_than_the_folders_are_refused(tmp_path):
    watching(StreamSettings("token", frame_grid="native")).save(tmp_path)

    def asked(**settings) -> VLM:
        return for_streams(tiny(path=str(tmp_path), device="cpu", stream=StreamSettings(**settings)))

    assert asked(heads="token", frame_grid="native", head="mlp").stream.heads == "token"  # there is no binary head
    with pytest.raises(UserError, match=r"model\.stream\.heads=binary \(it is token\)"):
        asked(frame_grid="native")
    with pytest.raises(UserError, match=r"model\.stream\.frame_grid=\[1\] \(it is native\)"):
        asked(heads="token")


def test_for_streams_twice_is_for_streams_once():
    vlm = watching(TOKEN)
    assert for_streams(vlm).model is vlm.model


def test_spare_tokens_are_those_of_the_tokenizer(true_tokenizer, small_tokenizer):
    assert decision_tokens(true_tokenizer, 49280) == [49191, 49192, 49193, 49194]
    names = small_tokenizer.convert_ids_to_tokens(decision_tokens(small_tokenizer, len(small_tokenizer)))
    assert names == [f"<|reserved_special_token_{number}|>" for number in range(4)]


@pytest.mark.parametrize(
    ("size", "counts"),
    [("2.2b", {"[1]": 1, "[1, 2]": 5, "[1, 3]": 10, "native": 81}), ("500m", {"[1]": 1, "[1, 3]": 10, "native": 64})],
)
def test_tokens_of_a_frame_at_true_size(size, counts):
    vlm = smolvlm2(size, path="HuggingFaceTB/none", device="meta")
    assert {
        name: for_streams(
            VLM(vlm.model, vlm.tokenizer, vlm.images, stream=StreamSettings(frame_grid=grid))
        ).frame_tokens
        for name, grid in [(name, "native" if name == "native" else json.loads(name)) for name in counts]
    } == counts


@pytest.mark.parametrize(
    ("settings", "extra"),
    [(BINARY, 2 * 2048 + 2), (MLP, 2048 * 2048 + 2048 + 2 * 2048 + 2), (TOKEN, 4 * 2048)],
)
def test_true_size_with_heads_on_the_meta_device(settings, extra):
    vlm = for_streams(smolvlm2("2.2b", path="HuggingFaceTB/none", device="meta", stream=settings))
    assert vlm.parameter_counts()["total"] == 2_246_784_880 + extra
    assert vlm.parameter_counts()["heads"] == extra
    assert vlm.model.config.text_config.hidden_size == architecture("2.2b").text_config.hidden_size
    assert isinstance(vlm.model.decisions, TokenDecisions if settings is TOKEN else BinaryDecisions)


def test_a_grid_finer_than_the_connectors_is_refused():
    with pytest.raises(UserError, match=r"\[1, 2\] is finer than the 1×1 tokens"):
        watching(StreamSettings(frame_grid=[1, 2]))


def test_decisions_pass_through_peft_itself():
    vlm = lora(watching())
    assert isinstance(vlm.model, PeftModel)
    assert vlm.model(**batch(vlm)).decisions.shape == (3, 2)


def test_what_was_switched_on_stays_on():
    plain = tiny(device="cpu", attention="eager")
    plain.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    plain.model.model.vision_model.requires_grad_(False)
    plain.model.train()
    vlm = for_streams(plain)
    assert vlm.model.is_gradient_checkpointing
    assert vlm.model.training
    assert vlm.model.config._attn_implementation == "eager"
    counts = vlm.parameter_counts()
    assert counts["trainable"] == counts["total"] - counts["vision"]
