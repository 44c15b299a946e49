"""Prompts become the text that the model was trained to continue, whatever its template accepts."""

from __future__ import annotations

import pytest

from methods.lmm import LMMError, Prompt, Turn
from methods.lmm.plain import PlainRunner
from methods.lmm.rendering import render
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm
from tests.unit.lmm import naive

STRICT = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] | trim }}{% endif %}"
    "{% endfor %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture
def processor(tiny, monkeypatch):
    processor = tiny("llava").processor

    def with_template(template):
        monkeypatch.setattr(processor, "chat_template", template)
        return processor

    return with_template


def test_the_text_is_the_templates_and_ends_with_the_prefix(tiny, pictures):
    processor = tiny("llava").processor
    prompt = Prompt.ask(pictures[0], "Good or poor?", answer_prefix="The quality is")
    rendered = render(processor, prompt, "llava")
    assert rendered.text == (
        "<|im_start|>user\n<image>Good or poor?<|im_end|>\n<|im_start|>assistant\nThe quality is"
    )
    assert rendered.tail.startswith("<image>Good or poor?")
    assert rendered.images == (pictures[0],)


def test_without_a_prefix_the_assistants_turn_is_open(tiny):
    rendered = render(tiny("llava").processor, Prompt.ask("Good or poor?"), "llava")
    assert rendered.text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert rendered.tail == rendered.text


def test_a_template_that_trims_does_not_eat_the_prefixs_last_space(processor):
    rendered = render(processor(STRICT), Prompt.ask("Rate it.", answer_prefix="Score: "), "strict")
    assert rendered.text == "user: Rate it.\nassistant: Score: "


def test_a_strict_template_gets_the_conversation_retold(processor, pictures):
    prompt = Prompt(
        (Turn("system", ("You judge.",)), Turn("user", ("Give you 1 images.",)), Turn("user", (pictures[0], "Rate."))),
        answer_prefix="It is",
    )
    rendered = render(processor(STRICT), prompt, "strict")
    text = rendered.text
    assert text.index("You judge.") < text.index("Give you 1 images.") < text.index("<image>") < text.index("Rate.")
    assert text.count("user: ") == 1
    assert text.endswith("assistant: It is")


def test_a_template_that_refuses_everything_is_an_error(processor):
    with pytest.raises(LMMError, match="refuses this conversation: Never"):
        render(processor("{{ raise_exception('Never') }}"), Prompt.ask("Hello?"), "strict")


def test_a_template_that_loses_pictures_is_an_error(processor, pictures):
    template = "{% for message in messages %}{{ message['role'] }} {% endfor %}"
    with pytest.raises(LMMError, match="shows 0 of the prompt's 1 images"):
        render(processor(template), Prompt.ask(pictures[0], "Rate it."), "deaf")


def test_a_model_without_a_template_is_an_error(processor):
    with pytest.raises(LMMError, match="has no chat template"):
        render(processor(None), Prompt.ask("Hello?"), "base")


def test_families_that_are_not_known_to_share_take_the_plain_way(checkpoint, pictures, monkeypatch):
    from methods.lmm import transformers_lmm

    monkeypatch.setattr(transformers_lmm, "SHARING_FAMILIES", frozenset())
    lmm = TransformersLMM(checkpoint("qwen2_5_vl"), device="cpu")
    assert isinstance(lmm._runner, PlainRunner)
    prompts = [Prompt.ask(*pictures[:2], "Good or poor?", answer_prefix="It is"), Prompt.ask(pictures[2], "And this?")]
    expected = naive.word_logits(lmm.model, lmm.processor, prompts, ["good", "poor"])
    assert abs(lmm.word_logits(prompts, ["good", "poor"]) - expected).max() < 1e-4
    settings = {"max_new_tokens": 6, "temperature": 0.9, "top_k": 40}
    [texts] = lmm.generate(prompts[:1], n=2, seed=5, **settings)
    assert texts == [lmm.generate(prompts[:1], seed=seed, **settings)[0][0] for seed in (5, 6)]
    assert "".join(lmm.stream(prompts[0], seed=5, **settings)) == texts[0]
    assert lmm.embed(pictures).shape == (len(pictures), 32)


def test_checkpoints_are_the_same_wherever_they_are_built(checkpoint, tmp_path):
    from methods.lmm.checkpoint import content_hash

    assert content_hash(tiny_lmm.build("llava", tmp_path, image_budget=6)) == content_hash(checkpoint("llava"))
