"""Names, defaults and the one plain sentence of everything that can go wrong with a model."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from methods.errors import InputError
from methods.lmm import LMMError, Prompt, load_lmm, loading
from methods.lmm.catalogue import CATALOGUE, find
from methods.lmm.cpu import keep_freed_memory
from methods.lmm.defaults import GENERAL
from methods.lmm.names import name_and_settings, name_with
from methods.lmm.transformers_lmm import TransformersLMM
from methods.visualquality_r1.method import VisualQualityR1


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
    with pytest.raises(LMMError, match="shows 7 images but llava takes at most 6") as error:
        tiny("llava").word_logits([Prompt.ask(*pictures, *pictures[:2], "Which is best?")], ["Yes", "No"])
    sentence(error)


def test_too_long_a_prompt_is_an_error(tiny):
    with pytest.raises(LMMError, match="tokens but the model reads at most 4096") as error:
        tiny("llava").word_logits([Prompt.ask("noise " * 6000)], ["Yes", "No"])
    sentence(error)


def test_a_prompt_cannot_spell_the_placeholder(tiny):
    with pytest.raises(LMMError, match="reserves for images"):
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
    with pytest.raises(LMMError, match="qwen2 model, which does not answer questions about images") as error:
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
    own = VisualQualityR1.own_lmm
    assert loading.default_lmm("visualquality-r1", own) == own == "TianheWu/VisualQuality-R1-7B"
    monkeypatch.setenv("MEAN_OPINION_LMM", "smolvlm2-2.2b")
    assert loading.default_lmm("visualquality-r1", own) == "smolvlm2-2.2b"
    monkeypatch.setenv("MEAN_OPINION_LMM_VISUALQUALITY_R1", "qwen2.5-vl-3b")
    assert loading.default_lmm("visualquality-r1", own) == "qwen2.5-vl-3b"
    assert loading.default_lmm("iqarag") == "smolvlm2-2.2b"


@pytest.mark.parametrize(("name", "bare", "carried"), [
    ("Qwen/Qwen3-VL-8B-Instruct@v1.0", "Qwen/Qwen3-VL-8B-Instruct", {"revision": "v1.0"}),
    ("qwen3-vl-8b@abc?max_pixels=500000&dtype=float16", "qwen3-vl-8b",
     {"revision": "abc", "max_pixels": 500000, "dtype": "float16"}),
    ("embedded?device=cuda:1", "embedded", {"device": "cuda:1"}),
    ("/no/such@folder?device_map=auto", "/no/such@folder", {"device_map": "auto"}),
    ("server:http://host/v1?images=6#a@b?c", "server:http://host/v1?images=6#a@b?c", {}),
])
def test_a_name_carries_a_revision_and_settings(name, bare, carried):
    assert name_and_settings(name) == (bare, carried)
    without = {key: value for key, value in carried.items() if key != "revision"}
    assert name_and_settings(name_with(bare, without)) == (bare, without)


def test_a_server_carries_settings_before_its_model():
    assert name_with("server:http://h/v1#m", {"max_pixels": 9}) == "server:http://h/v1?max_pixels=9#m"
    assert name_with("server:http://h/v1?images=6#m", {"max_pixels": 9}) == "server:http://h/v1?images=6&max_pixels=9#m"
    assert name_with("embedded", {"device": None}) == "embedded"


@pytest.mark.parametrize(("name", "said"), [
    ("embedded?maxpixels=5", "A model has no setting 'maxpixels'; did you mean 'max_pixels'"),
    ("embedded?max_pixels=0", "max_pixels is a whole number of at least 1; got '0'"),
    ("embedded?dtype", "dtype is empty"),
    ("embedded@", "revision is empty"),
    ("embedded?", "embedded"),
    ("a/b@x?revision=y", "revision is given twice"),
])
def test_a_name_that_cannot_be_read_is_one_sentence(name, said):
    if name == "embedded?":
        assert name_and_settings(name) == ("embedded", {})
        return
    with pytest.raises(InputError, match=re.escape(said)):
        name_and_settings(name)


def test_a_setting_in_the_name_and_beside_it_is_refused(checkpoint):
    with pytest.raises(InputError, match="max_pixels is given twice"):
        load_lmm("embedded?max_pixels=5", max_pixels=6)
    with pytest.raises(InputError, match="dtype is given twice"):
        name_with("embedded?dtype=float16", {"dtype": "float32"})
    for name in (f"{checkpoint('llava')}", "embedded"):
        with pytest.raises(LMMError, match="leave the revision out"):
            load_lmm(name, revision="main")
    with pytest.raises(LMMError, match="leave dtype out"):
        load_lmm("server:http://127.0.0.1:1/v1", dtype="float32")


def test_an_object_of_a_name_with_settings_is_shared_too(checkpoint):
    folder = str(checkpoint("qwen3_vl"))
    first = load_lmm(f"{folder}?max_pixels=2000&device=cpu")
    assert load_lmm(folder, "cpu", max_pixels=2000) is first
    assert first.name == "qwen3_vl"
    assert loading.unload(f"{folder}?max_pixels=2000") == 1


@pytest.fixture
def hub(checkpoint, monkeypatch):
    """What transformers is asked for, with a tiny checkpoint in the place of the Hub's; `hub.quantise(...)` packs it.
    """
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    asked = {}

    class Hub:
        packing = None

    def watched(kind):
        real = kind.from_pretrained

        def from_pretrained(source, **settings):
            if source != str(checkpoint("llava")):  # transformers asks itself too
                asked[kind.__name__] = settings
            kept = {key: settings[key] for key in ("dtype", "output_loading_info", "attn_implementation", "device_map",
                                                   "config") if key in settings}
            path = real(str(checkpoint("llava")), **kept)
            if kind is AutoConfig and Hub.packing:
                path.quantization_config = Hub.packing
            return path

        return from_pretrained

    for kind in (AutoConfig, AutoProcessor, AutoModelForImageTextToText):
        monkeypatch.setattr(kind, "from_pretrained", watched(kind))
    Hub.asked = asked
    return Hub


def test_a_revision_reaches_every_part_of_a_hub_checkpoint(hub):
    lmm = load_lmm("bakllava@0123abc", device="cpu")
    assert lmm.name == "llava-hf/bakLlava-v1-hf"
    assert {name: asked["revision"] for name, asked in hub.asked.items()} == {
        "AutoConfig": "0123abc", "AutoProcessor": "0123abc", "AutoModelForImageTextToText": "0123abc"
    }
    assert load_lmm("bakllava", device="cpu", revision="0123abc") is lmm
    assert load_lmm("bakllava", device="cpu") is not lmm


def test_attention_and_device_map_reach_the_model_and_are_recorded(hub, monkeypatch):
    lmm = load_lmm("bakllava", device="cpu", attn_implementation="eager")
    assert hub.asked["AutoModelForImageTextToText"]["attn_implementation"] == "eager"
    assert "device_map" not in hub.asked["AutoModelForImageTextToText"]
    assert dict(lmm.settings) == {"device": "cpu", "dtype": "float32", "attn_implementation": "eager",
                                  "quantisation": None, "device_map": None, "word_logits": "float32"}
    lmm = load_lmm("bakllava", device_map="auto")
    assert hub.asked["AutoModelForImageTextToText"]["device_map"] == "auto"
    assert lmm.settings["device_map"] == "auto"
    assert lmm.word_logits([Prompt.ask("Good or poor?", answer_prefix="It is")], ["good", "poor"]).shape == (1, 2)
    with pytest.raises(LMMError, match="name one of them"):
        load_lmm("bakllava", device="cpu", device_map="auto")
    with pytest.raises(LMMError, match="must be one of auto, balanced, balanced_low_0, sequential; got 'cuda'"):
        load_lmm("bakllava", device_map="cuda")


@pytest.mark.parametrize("packing", [
    {"quant_method": "bitsandbytes", "load_in_4bit": True}, {"quant_method": "awq"}, {"quant_method": "gptq"},
])
def test_packed_weights_are_put_in_place_and_never_moved(hub, packing, monkeypatch):
    from transformers import AutoModelForImageTextToText

    read = AutoModelForImageTextToText.from_pretrained

    def packed(source, **settings):
        # The packages that unpack such weights are not at hand; the tiny model stands for what they would give.
        settings["config"].quantization_config = None
        model, report = read(source, **settings)
        model.config.quantization_config = packing
        monkeypatch.setattr(type(model), "to", lambda *_, **__: pytest.fail("packed weights were moved"))
        return model, report

    hub.packing = packing
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", packed)
    lmm = load_lmm("bakllava", device="cpu")
    asked = hub.asked["AutoModelForImageTextToText"]
    assert asked["device_map"] == {"": "cpu"}
    assert asked["dtype"] == "auto"
    assert lmm.settings["quantisation"] == packing["quant_method"]


def test_no_memory_while_packed_weights_are_read_is_one_sentence(hub, monkeypatch):
    from transformers import AutoModelForImageTextToText

    def full(source, **settings):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", full)
    with pytest.raises(LMMError, match="does not fit into the memory there is; choose a smaller model") as error:
        load_lmm("bakllava", device_map="auto")
    sentence(error)


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
        assert entry.licence
        assert "card" not in entry.licence, "a model comes in after its card was read"
    assert {entry.nickname for entry in CATALOGUE if entry.reached == "server"} == {"kimi-vl-a3b"}
    assert {entry.nickname: entry.stand_in for entry in CATALOGUE if entry.reached == "no way"} == {
        "mplug-owl3-7b": "llava-onevision-7b", "qwen-vl": "qwen2.5-vl-7b"}
    assert all(find(entry.stand_in).reached == "transformers" for entry in CATALOGUE if entry.stand_in)
    for default in (*GENERAL, VisualQualityR1.own_lmm):
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
    thread.join(timeout=120)
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
