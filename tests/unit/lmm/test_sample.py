"""K samples of one prompt are written side by side, and the first is handed out as it comes."""

from __future__ import annotations

import inspect

import pytest
import torch

from methods.lmm import Prompt
from methods.lmm.plain import PlainRunner
from methods.lmm.reuse import runner
from methods.lmm.reuse.batching import Budget, MemoryShortage
from methods.lmm.sampling import Sampling

pytestmark = pytest.mark.slow

SETTINGS = {"max_new_tokens": 12, "temperature": 0.9, "top_k": 40, "seed": 5}


def read(pieces):
    """All pieces, and what the generator returned."""
    events = []
    while True:
        try:
            events.append(next(pieces))
        except StopIteration as end:
            return events, end.value


@pytest.fixture
def passes(tiny, monkeypatch):
    """(rows, tokens) of each forward pass of the tiny model."""
    lmm, made = tiny("qwen2_5_vl"), []
    forward = lmm.model.forward

    def counted(*args, **kwargs):
        made.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(lmm.model, "forward", counted)
    return made


@pytest.fixture
def prompt(pictures):
    return Prompt.ask(pictures[0], "Describe the quality of the image.")


def test_all_samples_come_out_of_one_decode(tiny, passes, prompt):
    lmm = tiny("qwen2_5_vl")
    expected = lmm.generate([prompt], n=4, **SETTINGS)[0]
    passes.clear()
    events, texts = read(lmm.sample(prompt, 4, **SETTINGS))
    assert texts == expected
    assert "".join(events) == texts[0]
    assert len(events) > 2
    (rows, tokens), *steps = passes
    assert (rows, tokens > 20) == (1, True), "the prompt is read once"
    assert steps[0] == (4, 1)
    assert len(steps) < 12, "as many steps as the longest has tokens, not as all have together"


def test_the_first_piece_comes_before_the_samples_are_done(tiny, passes, prompt):
    pieces = tiny("qwen2_5_vl").sample(prompt, 3, **{**SETTINGS, "max_new_tokens": 60})
    assert next(pieces)
    made = len(passes)
    assert made < 20
    pieces.close()
    assert len(passes) == made


def test_a_reader_is_heard_while_the_others_go_on(tiny, prompt, monkeypatch):
    lmm = tiny("llava")
    monkeypatch.setattr(runner, "HEARTBEAT", 1)
    settings = {**SETTINGS, "max_new_tokens": 40}
    first = lmm.generate([prompt], n=1, **settings)[0][0]
    stop = lmm.processor.tokenizer.encode(first, add_special_tokens=False)[3]
    monkeypatch.setattr(lmm._runner, "_stops", lambda: {stop})
    events, texts = read(lmm.sample(prompt, 4, **settings))
    assert "".join(events) == texts[0]
    after = events[next(index for index in range(len(events)) if "".join(events[:index]) == texts[0]):]
    assert after
    assert set(after) == {""}


def test_a_shortage_on_the_way_changes_no_text(tiny, passes, prompt, monkeypatch):
    lmm = tiny("qwen2_5_vl")
    expected = lmm.generate([prompt], n=5, **SETTINGS)[0]
    forward, calls = lmm.model.forward, []

    def short(*args, **kwargs):
        calls.append(len(kwargs["input_ids"]))
        if len(calls) > 5 and calls[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*args, **kwargs)

    monkeypatch.setattr(lmm.model, "forward", short)
    events, texts = read(lmm.sample(prompt, 5, **SETTINGS))
    assert texts == expected
    assert "".join(events) == texts[0]
    assert max(calls) == 5

    monkeypatch.setattr(lmm.model, "forward", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(MemoryShortage, match="for one prompt"):
        read(lmm.sample(prompt, 2, **SETTINGS))


def test_a_small_memory_takes_fewer_at_a_time(tiny, passes, prompt, monkeypatch):
    lmm = tiny("qwen2_5_vl")
    expected = lmm.generate([prompt], n=5, **SETTINGS)[0]
    rendered = lmm._render(prompt)
    width = len(lmm._runner.layout.rows([rendered])[0])
    one = lmm._runner._sample_bytes(width, Sampling(**SETTINGS))
    monkeypatch.setattr(lmm._runner, "budget", Budget(lambda: 2 * one))
    passes.clear()
    assert read(lmm.sample(prompt, 5, **SETTINGS))[1] == expected
    assert max(rows for rows, _ in passes) == 2


def test_the_plain_way_and_the_streams_agree(tiny, prompt):
    lmm = tiny("llava")
    plain = PlainRunner(lmm.model, lmm.processor)
    events, texts = read(plain.sample(lmm._render(prompt), 2, Sampling(**SETTINGS)))
    assert events[0] == texts[0]
    assert texts == plain.generate([lmm._render(prompt)], 2, Sampling(**SETTINGS))[0]
    assert "".join(lmm.stream(prompt, **SETTINGS)) == lmm.generate([prompt], **SETTINGS)[0][0]
    assert inspect.isgenerator(lmm.sample(prompt, 2))
    with pytest.raises(ValueError, match="n=2"):
        read(lmm.sample(prompt, 2, temperature=0))
