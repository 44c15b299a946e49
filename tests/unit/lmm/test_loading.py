"""Names, defaults and the one plain sentence of everything that can go wrong with a model."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from methods.lmm import LMMError, Prompt, load_lmm, loading
from methods.lmm.catalogue import CATALOGUE, find
from methods.lmm.cpu import keep_freed_memory
from methods.lmm.transformers_lmm import TransformersLMM


@pytest.fixture(autouse=True)
def forget():
    yield
    loading.unload()


def sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_the_same_name_and_settings_are_one_object(checkpoint):
    folder = str(checkpoint("llava"))
    first = load_lmm(folder, device="cpu")
    assert load_lmm(folder, device="cpu") is first
    assert load_lmm(folder, device="cpu", dtype=torch.float32) is load_lmm(folder, device="cpu", dtype="float32")
    assert load_lmm(folder, device="cpu", vision_cache_bytes=0) is not first
    assert loading.unload(folder) == 3
    assert load_lmm(folder, device="cpu") is not first


def test_folder_name_revision_and_budget(checkpoint, tmp_path):
    lmm = load_lmm(str(checkpoint("llava")), device="cpu")
    assert lmm.name == "llava"
    assert len(lmm.revision) == 12
    assert lmm.image_budget == 6
    assert load_lmm(str(checkpoint("gemma3")), device="cpu").revision != lmm.revision


def test_too_many_pictures_is_an_error_that_says_how_many(tiny, pictures):
    with pytest.raises(LMMError, match="shows 7 pictures but llava takes at most 6") as error:
        tiny("llava").word_logits([Prompt.ask(*pictures, *pictures[:2], "Which is best?")], ["Yes", "No"])
    sentence(error)


def test_too_long_a_prompt_is_an_error(tiny):
    with pytest.raises(LMMError, match="tokens but the model reads at most 4096") as error:
        tiny("llava").word_logits([Prompt.ask("noise " * 6000)], ["Yes", "No"])
    sentence(error)


def test_a_prompt_cannot_spell_the_placeholder(tiny):
    with pytest.raises(LMMError, match="reserves for pictures"):
        tiny("llava").word_logits([Prompt.ask("What is <image> here?")], ["Yes", "No"])


@pytest.mark.slow
def test_a_missing_hub_model_offline_is_one_sentence():
    code = (
        "from methods.lmm import load_lmm, LMMError\n"
        "try:\n    load_lmm('nobody/no-such-model-here', device='cpu')\n"
        "except LMMError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**__import__("os").environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.stdout.startswith("nobody/no-such-model-here is not in the local Hub cache")
    assert done.stdout.count("\n") == 1


def test_an_unknown_nickname_suggests_the_nearest():
    with pytest.raises(LMMError, match="did you mean 'qwen3-vl-8b'") as error:
        load_lmm("qwen3-vl-8")
    assert "qwen3-vl-8" in str(error.value)


@pytest.mark.parametrize(("make", "said"), [
    (lambda folder: folder / "nowhere", "There is no folder"),
    (lambda folder: folder, "holds no config.json"),
])
def test_a_folder_without_a_checkpoint(tmp_path, make, said):
    with pytest.raises(LMMError, match=said) as error:
        load_lmm(str(make(tmp_path)))
    sentence(error)


def test_a_text_only_checkpoint_is_refused(tmp_path):
    from transformers import Qwen2Config

    Qwen2Config().save_pretrained(tmp_path)
    with pytest.raises(LMMError, match="qwen2 model, which does not answer questions about pictures") as error:
        load_lmm(str(tmp_path))
    sentence(error)


def test_a_checkpoint_with_damaged_weights_is_an_error(checkpoint, tmp_path):
    for path in checkpoint("llava").iterdir():
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[:-200] if path.suffix == ".safetensors" else data)
    with pytest.raises(LMMError, match="cannot be loaded as a checkpoint"):
        load_lmm(str(tmp_path), device="cpu")


def test_a_checkpoint_that_lacks_weights_is_never_filled_with_random_ones(checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    for path in checkpoint("llava").iterdir():
        if path.suffix == ".safetensors":
            weights = load_file(path)
            weights = {name: value for name, value in weights.items() if not name.endswith("lm_head.weight")}
            save_file(weights, tmp_path / path.name, metadata={"format": "pt"})
        else:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(LMMError, match=r"lacks 1 of its model's weights, for example lm_head\.weight") as error:
        load_lmm(str(tmp_path), device="cpu")
    sentence(error)


def test_no_memory_for_the_weights_is_one_sentence(checkpoint, monkeypatch):
    def full(self, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 16 GiB.")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(LMMError, match="does not fit into the memory of cpu; choose a smaller model") as error:
        load_lmm(str(checkpoint("llava")), device="cpu")
    sentence(error)


def test_a_bad_dtype_names_the_choices(checkpoint):
    with pytest.raises(LMMError, match="float32, bfloat16, float16; got 'int3'") as error:
        load_lmm(str(checkpoint("llava")), dtype="int3")
    sentence(error)


def test_models_that_need_remote_code_point_to_the_server():
    with pytest.raises(LMMError, match=r"serve it with vLLM and use server:.*moonshotai/Kimi-VL-A3B-Instruct") as error:
        load_lmm("kimi-vl-a3b")
    sentence(error)


@pytest.mark.parametrize(("name", "nearest"), [("mplug-owl3-7b", "llava-onevision-7b"), ("Qwen/Qwen-VL", "qwen2.5-vl")])
def test_models_without_a_way_name_the_nearest_that_runs(name, nearest):
    with pytest.raises(LMMError, match=f"has no way to run here: .*the nearest model that runs is {nearest}") as error:
        load_lmm(name)
    sentence(error)


def test_defaults_follow_the_machine_and_the_environment(monkeypatch):
    for name in ("MEAN_OPINION_LMM", "MEAN_OPINION_LMM_VISUALQUALITY_R1"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert loading.default_lmm("iqarag") == "embedded"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert loading.default_lmm("iqarag") == "Qwen/Qwen3-VL-8B-Instruct"
    assert loading.default_lmm("visualquality-r1") == "TianheWu/VisualQuality-R1-7B"
    monkeypatch.setenv("MEAN_OPINION_LMM", "smolvlm2-2.2b")
    assert loading.default_lmm("visualquality-r1") == "smolvlm2-2.2b"
    monkeypatch.setenv("MEAN_OPINION_LMM_VISUALQUALITY_R1", "qwen2.5-vl-3b")
    assert loading.default_lmm("visualquality-r1") == "qwen2.5-vl-3b"
    assert loading.default_lmm("iqarag") == "smolvlm2-2.2b"


def test_the_catalogue_holds_what_it_promises():
    names = [entry.nickname for entry in CATALOGUE] + [entry.hub_id.lower() for entry in CATALOGUE]
    assert len(set(names)) == len(names)
    assert find("QWEN3-VL-8B").hub_id == find("qwen/qwen3-vl-8b-instruct").hub_id == "Qwen/Qwen3-VL-8B-Instruct"
    assert find("embedded") is None
    for entry in CATALOGUE:
        assert entry.hub_id.count("/") == 1
        assert entry.memory_gib > 0
        assert entry.image_budget >= 2, "Q-Debias shows two pictures"
        assert entry.note.endswith(".")
    assert {entry.nickname for entry in CATALOGUE if entry.reached == "server"} == {"kimi-vl-a3b"}
    assert {entry.nickname: entry.stand_in for entry in CATALOGUE if entry.reached == "no way"} == {
        "mplug-owl3-7b": "llava-onevision-7b", "qwen-vl": "qwen2.5-vl-7b"}
    assert all(find(entry.stand_in).reached == "transformers" for entry in CATALOGUE if entry.stand_in)
    for default in (loading.GPU_DEFAULT, *loading.GPU_DEFAULTS.values()):
        assert find(default).reached == "transformers"


def test_importing_the_methods_needs_no_torch():
    code = "import sys, methods.lmm, methods.base; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_share_one_model(tiny, pictures):
    lmm = tiny("qwen2_5_vl")
    prompts = [Prompt.ask(picture, "Good or poor?", answer_prefix="It is") for picture in pictures]
    expected = lmm.word_logits(prompts, ["good", "poor"])
    lmm.vision.clear()
    results = {}

    def work(index):
        results[index] = lmm.word_logits([prompts[index]], ["good", "poor"])[0]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(np.stack([results[index] for index in range(len(prompts))]), expected, atol=1e-4)


def test_closing_a_stream_stops_the_model_and_frees_it(tiny, pictures, monkeypatch):
    lmm = tiny("llava")
    forward, calls = lmm.model.forward, []

    def counted(*args, **kwargs):
        calls.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(lmm.model, "forward", counted)
    pieces = lmm.stream(Prompt.ask(pictures[0], "Describe it."), max_new_tokens=200, seed=1)
    assert isinstance(next(pieces), str)
    made = len(calls)
    assert made < 20, "the first piece comes before the text is finished"

    other = []
    thread = threading.Thread(target=lambda: other.append(lmm.embed(pictures[:1])))
    thread.start()
    thread.join(timeout=20)
    assert other, "a reader that pauses does not keep the model from others"
    pieces.close()
    assert len(calls) == made


def test_wrong_sampling_settings_name_themselves(tiny, pictures):
    lmm = tiny("llava")
    prompt = Prompt.ask(pictures[0], "Describe it.")
    for settings, said in (
        ({"temperature": -1.0}, "temperature"), ({"top_p": 0.0}, "top_p"), ({"top_k": -2}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"), ({"temperature": 0, "n": 2}, "n=2"),
    ):
        with pytest.raises(ValueError, match=said):
            lmm.generate([prompt], **settings)


def test_the_allocator_setting_is_harmless_everywhere():
    assert keep_freed_memory() in (True, False)
    assert keep_freed_memory() is keep_freed_memory()


def test_no_prompts_and_no_pictures_give_empty_results(tiny):
    lmm = tiny("llava")
    assert lmm.word_logits([], ["good", "poor"]).shape == (0, 2)
    assert lmm.embed([]).shape[0] == 0
    assert lmm.generate([]) == []


def test_half_precision_checkpoints_load_as_asked(checkpoint, tmp_path):
    lmm = TransformersLMM(checkpoint("fast_vlm"), device="cpu", dtype="bfloat16")
    assert lmm.model.dtype == torch.bfloat16
    halved = tmp_path / "half"
    lmm.model.half().save_pretrained(halved)
    lmm.processor.save_pretrained(halved)
    assert TransformersLMM(halved, device="cpu").model.dtype == torch.float32


@pytest.mark.parametrize(("device", "said"), [
    ("gpu", "There is no device 'gpu'; name cpu, cuda or cuda:1"),
    ("cuda", "PyTorch sees no CUDA device here; name cpu"),
    ("cuda:7", "cuda:7"),
])
def test_a_device_that_is_not_there_is_one_sentence(checkpoint, monkeypatch, device, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda:7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(device == "cuda:7"))
    with pytest.raises(LMMError, match=said) as error:
        load_lmm(str(checkpoint("llava")), device=device)
    sentence(error)


def test_a_defect_while_the_weights_move_keeps_its_traceback(checkpoint, monkeypatch):
    def broken(self, *args, **kwargs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(torch.nn.Module, "to", broken)
    with pytest.raises(RuntimeError, match="mat1") as error:
        load_lmm(str(checkpoint("llava")), device="cpu")
    assert not isinstance(error.value, LMMError)
