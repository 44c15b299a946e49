"""What training takes of a device, computed from configs of real size and held to what torch keeps."""

import dataclasses

import pytest
import torch

from methods.torchvision_compat import ensure_torchvision

ensure_torchvision()
pytest.importorskip("trl", reason="training needs requirements-train.txt")

from benchmarks.shapes import SHAPES, config  # noqa: E402
from benchmarks.training_memory import table  # noqa: E402
from methods.visualquality_r1.training.memory import Counts, counts, training_memory  # noqa: E402
from methods.visualquality_r1.training.trainer import RL2RSettings  # noqa: E402

pytestmark = pytest.mark.slow

WEIGHTS = 8_292_166_656


@pytest.fixture(scope="module")
def seven():
    return config("qwen2.5-vl-7b")


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.weights])
def test_shapes_have_the_weights_of_the_released_checkpoints(name):
    assert counts(config(name), RL2RSettings()).all == SHAPES[name].weights


def test_weights_are_counted_once_each_and_adapters_apart(seven):
    assert counts(seven, RL2RSettings()) == Counts(WEIGHTS, WEIGHTS)
    frozen = counts(seven, RL2RSettings(freeze_vision=True))
    assert frozen.all - frozen.trained == 676_550_144
    # A layer's adapters of rank 8: for each product of m inputs and n outputs, 8 (m + n).
    inner, hidden, heads = 18_944, 3584, 512
    layer = 2 * (hidden + hidden) + 2 * (hidden + heads) + 3 * (hidden + inner)
    assert counts(seven, RL2RSettings(lora=8, freeze_vision=True)) == Counts(WEIGHTS, 28 * 8 * layer)


def test_all_weights_on_one_device_take_twenty_bytes_each(seven):
    plan = training_memory(seven, RL2RSettings(), prompt_tokens=1000)
    assert plan.weights + plan.gradients + plan.moments + plan.reference == WEIGHTS * 20
    without = training_memory(seven, RL2RSettings(beta=0), prompt_tokens=1000)
    assert without.reference == 0


def test_zero3_deals_them_out_and_gathers_to_sample(seven):
    one, eight = (training_memory(seven, RL2RSettings(), prompt_tokens=1000, devices=devices, sharded=True)
                  for devices in (1, 8))
    assert one.weights + one.gradients + one.moments + one.reference == WEIGHTS * 18
    assert eight.moments == one.moments // 8
    assert eight.gathered == 2 * WEIGHTS
    assert eight.activations == one.activations


def test_lora_fits_one_card_of_80_gb_and_all_weights_do_not(seven):
    settings = RL2RSettings(images=1, gradient_accumulation=8, max_new_tokens=512, lora=64)
    assert training_memory(seven, settings, prompt_tokens=1400).peak < 70e9
    assert training_memory(seven, dataclasses.replace(settings, lora=0), prompt_tokens=1400).peak > 160e9


def test_vllm_on_the_same_device_holds_a_copy_and_a_server_holds_all(seven):
    own, colocated, served = (training_memory(seven, RL2RSettings(lora=8, vllm=vllm), prompt_tokens=1000)
                              for vllm in (None, "colocate", "server"))
    assert colocated.sampling - own.sampling == 2 * WEIGHTS
    assert (served.cache, served.gathered) == (0, 0)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_torch_keeps(checkpointing):
    from transformers import AutoModelForImageTextToText

    settings = RL2RSettings(images=1, generations=2, max_new_tokens=200, gradient_checkpointing=checkpointing)
    small = config("tiny", num_hidden_layers=24)
    plan = training_memory(small, settings, prompt_tokens=300)
    model = AutoModelForImageTextToText.from_config(small)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        output = model.model(input_ids=torch.full((2, 500), 20))
    assert output.last_hidden_state.requires_grad
    # Rounded weights that autocast keeps are the model's, not the text's.
    cast = sum(weight.numel() * 2 for weight in model.model.language_model.layers.parameters())
    saved = sum(kept.values()) - (0 if checkpointing else cast)
    # Beside the layers' inputs, the plan has the one layer that is computed again.
    ratio = plan.activations / saved
    assert 0.7 < ratio < (2 if checkpointing else 1.5)


def test_the_readme_has_the_table_of_the_day():
    from pathlib import Path

    import methods.visualquality_r1.train as train

    assert table() in (Path(train.__file__).parent / "README.md").read_text(encoding="utf-8")
