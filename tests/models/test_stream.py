"""A plain model becomes one that watches streams, and everything it learns comes back, in every adaptation mode."""

import json
import re

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from prospect.errors import UserError
from prospect.models.adapt import full, lora, merged
from prospect.models.decisions import StreamModel
from prospect.models.export import export
from prospect.models.heads import BinaryDecisions, TokenDecisions
from prospect.models.smolvlm import architecture, smolvlm2
from prospect.models.stream import StreamSettings, decision_tokens, for_streams
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

BINARY, MLP, TOKEN = StreamSettings(), StreamSettings(head="mlp"), StreamSettings(heads="token")
KINDS = [BINARY, MLP, TOKEN]
ADAPT = {
    "full": full,
    "frozen-vision": lambda vlm: full(vlm, freeze=[r"model\.vision_model"]),
    "lora": lambda vlm: lora(vlm, rank=4),
    "lora on the tower": lambda vlm: lora(vlm, rank=4, targets=[r".*(vision|text)_model.*\.(q|v)_proj"]),
}


def watching(settings: StreamSettings = BINARY, seed: int = 0, **options) -> VLM:
    return for_streams(tiny(device="cpu", stream=settings, **options), seed)


def batch(vlm: VLM) -> dict[str, torch.Tensor]:
    """Two rows of three frames each."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(10, 300, (2, 12), generator=generator)
    ids[:, [2, 5, 6]] = vlm.image_token_id
    return {
        "input_ids": ids,
        "frame_pixels": torch.randn(6, 3, 32, 32, generator=generator),
        "learnt_points": torch.tensor([[0, 8], [0, 9], [1, 3]]),
        "decision_points": torch.tensor([[0, 2], [0, 6], [1, 5]]),
    }


def answers(vlm: VLM) -> torch.Tensor:
    vlm.model.eval()
    with torch.no_grad():
        outputs = vlm.model(**batch(vlm))
    parts = [outputs.logits] if outputs.decisions is None else [outputs.logits, outputs.decisions]
    return torch.cat([part.flatten() for part in parts])


def moved(vlm: VLM) -> VLM:
    """As if trained: every trainable weight is somewhere else."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in vlm.model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return vlm


def heads(vlm: VLM) -> dict[str, torch.Tensor]:
    named = {name: value for name, value in vlm.model.named_parameters() if ".original_module." not in name}
    return {
        re.sub(r".*decisions\.(modules_to_save\.default\.)?", "", n): p for n, p in named.items() if "decisions" in n
    }


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


@pytest.mark.parametrize("name", ADAPT)
@pytest.mark.parametrize("settings", KINDS)
def test_everything_that_was_trained_comes_back_bit_equal(tmp_path, settings, name):
    vlm = moved(ADAPT[name](watching(settings)))
    vlm.save(tmp_path / "one")
    again = tiny(path=str(tmp_path / "one"), device="cpu")
    assert torch.equal(answers(again), answers(vlm))
    assert heads(again).keys() == heads(vlm).keys()
    assert all(torch.equal(value, heads(vlm)[part]) for part, value in heads(again).items())
    assert for_streams(again).stream == settings
    again.save(tmp_path / "two")  # and on, without leaning on the first folder
    (tmp_path / "one").rename(tmp_path / "gone")
    assert torch.equal(answers(tiny(path=str(tmp_path / "two"), device="cpu")), answers(vlm))


@pytest.mark.parametrize("settings", [*KINDS, StreamSettings(heads="none")])
def test_an_adapter_on_a_plain_folder_brings_its_heads(tmp_path, settings):
    tiny(seed=1, device="cpu").save(tmp_path / "base")
    vlm = for_streams(tiny(path=str(tmp_path / "base"), device="cpu", stream=settings), seed=3)
    vlm = moved(lora(vlm))
    vlm.save(tmp_path / "adapter")
    assert not list((tmp_path / "adapter").glob("**/model.safetensors"))
    again = tiny(path=str(tmp_path / "adapter"), device="cpu")
    assert torch.equal(answers(again), answers(vlm))
    assert again.frame_tokens == vlm.frame_tokens


def test_an_adapter_on_a_trained_stream_model(tmp_path):
    moved(full(watching(MLP))).save(tmp_path / "base")
    vlm = moved(lora(for_streams(tiny(path=str(tmp_path / "base"), device="cpu"))))
    vlm.save(tmp_path / "adapter")
    assert torch.equal(answers(tiny(path=str(tmp_path / "adapter"), device="cpu")), answers(vlm))


@pytest.mark.parametrize("settings", KINDS)
def test_merged_and_exported_decide_the_same(tmp_path, settings):
    vlm = moved(lora(watching(settings)))
    plain = merged(vlm)
    assert isinstance(plain.model, StreamModel)
    assert (answers(plain) - answers(vlm)).abs().max() <= 1e-5
    vlm.save(tmp_path / "run")
    export(str(tmp_path / "run"), tmp_path / "whole", merge=True)
    export(str(tmp_path / "run"), tmp_path / "adapter")
    assert torch.equal(answers(tiny(path=str(tmp_path / "whole"), device="cpu")), answers(plain))
    assert torch.equal(answers(tiny(path=str(tmp_path / "adapter"), device="cpu")), answers(vlm))


def test_an_adapter_without_heads_is_merged_before_the_heads_come(caplog):
    with_adapter = moved(lora(tiny(device="cpu")))
    ids = batch(with_adapter)["input_ids"][:, :2]
    before = with_adapter.model.eval()(input_ids=ids).logits
    vlm = for_streams(with_adapter)
    assert "merged into its base" in caplog.text
    assert (vlm.model(input_ids=ids).logits - before).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ADAPT)
@pytest.mark.parametrize("settings", KINDS)
def test_heads_move_under_one_step(settings, name):
    vlm = ADAPT[name](watching(settings))
    before = {part: value.clone() for part, value in heads(vlm).items()}
    vlm.model.train()
    trained = [parameter for parameter in vlm.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    vlm.model(**batch(vlm)).decisions.sum().backward()
    optimizer.step()
    assert all(not torch.equal(value, before[part]) for part, value in heads(vlm).items())
    assert vlm.parameter_counts()["heads"] == sum(value.numel() for value in before.values())


def test_heads_are_no_target_of_an_adapter():
    with pytest.raises(UserError, match=r"decisions\.out belongs to the heads"):
        lora(watching(), targets=[r"decisions\.out"])


def test_a_folder_that_lost_its_heads_is_refused(tmp_path):
    watching().save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights = {name: value for name, value in weights.items() if "decisions" not in name}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 2 weights.*decisions"):
        tiny(path=str(tmp_path), device="cpu")


def test_an_adapter_that_lost_its_heads_is_refused(tmp_path):
    lora(watching()).save(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "decisions" not in name}, path)
    with pytest.raises(UserError, match="lacks the weights of its heads"):
        tiny(path=str(tmp_path), device="cpu")


def test_an_adapter_of_other_streams_than_its_base_is_refused(tmp_path):
    lora(watching()).save(tmp_path)
    record = json.loads((tmp_path / "stream.json").read_text())
    (tmp_path / "stream.json").write_text(json.dumps(record | {"head": "mlp"}))
    with pytest.raises(UserError, match="its base watches streams with"):
        tiny(path=str(tmp_path), device="cpu")


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
    assert decision_tokens(true_tokenizer) == [49191, 49192, 49193, 49194]
    names = small_tokenizer.convert_ids_to_tokens(decision_tokens(small_tokenizer))
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
