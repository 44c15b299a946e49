"""Work on several pictures at once on a CPU: same results, and nobody else's number of cores is touched."""

import threading

import pytest
import torch

from methods.leaf.student import Student
from methods.lmm import cpu, load_lmm
from methods.lmm.cpu import side_by_side
from methods.lmm.loading import EMBEDDED
from methods.lmm.reuse.towers import fused_tower
from methods.lmm.transformers_lmm import TransformersLMM
from methods.torchvision_compat import ensure_torchvision

ensure_torchvision()

from transformers import AutoModelForImageTextToText, EfficientNetConfig, EfficientNetModel  # noqa: E402


@pytest.fixture
def three_cores(monkeypatch):
    """As on a machine with three cores."""
    monkeypatch.setattr(cpu, "cores", lambda: 3)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread() -> int:
    counts = []
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return counts[0]


@pytest.mark.parametrize("count", range(8))
def test_results_come_in_order_and_each_worker_has_one_core(three_cores, count):
    caller, workers = threading.get_ident(), {}

    def work(item):
        workers[item] = (torch.get_num_threads(), threading.get_ident() == caller)
        return 10 * item

    assert list(side_by_side(work, range(count))) == [10 * item for item in range(count)]
    # 1, 4 and 7 leave one over, which the calling thread does on all cores.
    alone = [count - 1] if count % 3 == 1 else []
    assert workers == {item: (3, True) if item in alone else (1, False) for item in range(count)}


def test_threads_outside_keep_their_cores_during_and_after(three_cores):
    inside = threading.Event(), threading.Event()

    def work(item):
        inside[item].set()
        assert all(event.wait(120) for event in inside), "both are at work at once"
        return threads_of_a_new_thread()

    assert list(side_by_side(work, range(2))) == [3, 3]
    assert torch.get_num_threads() == threads_of_a_new_thread() == 3


def test_what_goes_wrong_in_a_thread_is_raised_in_the_caller(three_cores):
    def work(item):
        if item == 1:
            raise ValueError("the second one")
        return item

    results = side_by_side(work, range(3))
    assert next(results) == 0
    with pytest.raises(ValueError, match="the second one"):
        list(results)
    assert threads_of_a_new_thread() == 3


def test_pictures_side_by_side_score_as_alone(three_cores, pictures):
    student, several = Student.load(), list(pictures) * 2
    together = student.predict(several)
    assert together == pytest.approx([student.predict([picture])[0] for picture in several], abs=1e-9)


@pytest.mark.slow
def test_a_convolutional_tower_encodes_side_by_side_what_it_encodes_alone(three_cores, pictures):
    lmm = load_lmm("embedded", vision_cache_bytes=0)
    lmm.vision.clear()
    before = lmm.vision.encoded
    together = torch.as_tensor(lmm.embed(list(pictures)))
    assert lmm.vision.encoded - before == len({picture.tobytes() for picture in pictures})
    torch.testing.assert_close(together, torch.cat([torch.as_tensor(lmm.embed([picture])) for picture in pictures]))
    assert threads_of_a_new_thread() == 3


def noisy_efficientnet(activation: str, gates: str):
    """A small EfficientNet whose every weight and statistic counts; "some" of its gates are always open, or "none"."""
    torch.manual_seed(0)
    model = EfficientNetModel(EfficientNetConfig(
        image_size=64, width_coefficient=1.0, depth_coefficient=1.0, in_channels=[32, 16], out_channels=[16, 24],
        kernel_sizes=[3, 5], strides=[1, 2], num_block_repeats=[1, 2], expand_ratios=[1, 6], depthwise_padding=[1],
        hidden_dim=1280, hidden_act=activation,
        squeeze_expansion_ratio=0.25)).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    tensor.uniform_(0.5, 1.5)
        if gates == "some":
            model.encoder.blocks[1].squeeze_excite.expand.weight.zero_()
            model.encoder.blocks[1].squeeze_excite.expand.bias.fill_(30)
    return model


@pytest.mark.parametrize("activation", ["relu6", "swish"])
@pytest.mark.parametrize("gates", ["some", "none"])
def test_a_fused_tower_sees_the_same_and_leaves_the_original_alone(activation, gates):
    model = noisy_efficientnet(activation, gates)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = fused_tower(model)
    pictures = torch.randn(2, 3, 61, 64)
    with torch.inference_mode():
        expected, features = model(pictures).last_hidden_state, fast(pictures).last_hidden_state
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    removed = [isinstance(block.squeeze_excite, torch.nn.Identity) for block in fast.encoder.blocks]
    assert removed == [False, gates == "some", False]
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_embedded_lmm_runs_a_fused_tower_and_saves_the_one_it_loaded(tmp_path):
    lmm = TransformersLMM(EMBEDDED, device="cpu", dtype="float32")
    assert lmm.vision._base is not lmm.model.model
    assert lmm.vision._base.language_model is lmm.model.model.language_model, "nothing but the tower is held twice"
    lmm.model.save_pretrained(tmp_path)
    assert not AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)[1]["missing_keys"]


def test_weights_that_are_being_trained_reach_the_next_score(pictures):
    loaded = TransformersLMM(EMBEDDED, device="cpu", dtype="float32")
    lmm = TransformersLMM.wrap(loaded.model, loaded.processor, "in training")
    before = lmm.embed(pictures[:1])
    with torch.no_grad():
        lmm.model.model.vision_tower.encoder.top_conv.weight.mul_(2)
    assert abs(lmm.embed(pictures[:1]) - before).max() > 1e-3
