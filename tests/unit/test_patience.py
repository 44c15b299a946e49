"""Long work that nobody waits for any more ends between two of its steps; budgets are taken in turn."""

from __future__ import annotations

import threading

import pytest
from PIL import Image

from methods.budget import Budget
from methods.errors import UserError
from methods.images import decode, limit_decoding, size_of
from methods.lmm.cpu import side_by_side
from methods.lmm.plain import PlainRunner
from methods.lmm.prompt import Prompt
from methods.lmm.transformers_lmm import TransformersLMM
from methods.patience import questions_by, step, steps, streamed
from tests import tiny_lmm


class Gone(UserError):
    """What the waiting side raises in these tests."""


class Ask:
    """Counts the steps, and raises after some of them."""

    def __init__(self, most: float = float("inf")) -> None:
        self.most, self.asked = most, 0

    def __call__(self) -> None:
        self.asked += 1
        if self.asked > self.most:
            raise Gone


def test_a_step_outside_of_any_waiting_does_nothing():
    step()
    assert list(steps([1, 2])) == [1, 2]


def test_work_ends_at_the_step_after_it_is_no_longer_wanted():
    done = []
    with pytest.raises(Gone), questions_by(Ask(2)):
        all(done.append(number) is None for number in steps(range(5)))
    assert done == [0, 1]


def test_a_stream_may_be_read_by_one_thread_after_another():
    def numbers():
        for number in range(4):
            step()
            yield number

    ask = Ask(3)
    values, read = streamed(numbers(), ask), []
    for _ in range(3):
        thread = threading.Thread(target=lambda: read.append(next(values)))
        thread.start()
        thread.join()
    assert read == [0, 1, 2]
    with pytest.raises(Gone):
        next(values)


def test_a_stream_that_is_left_closes_what_it_reads():
    closed = []

    def numbers():
        try:
            yield from range(9)
        finally:
            closed.append(True)

    values = streamed(numbers(), Ask())
    next(values)
    values.close()
    assert closed == [True]


@pytest.fixture(scope="module", params=["sharing", "plain"])
def lmm(request, tmp_path_factory):
    model = TransformersLMM(tiny_lmm.build("qwen2_5_vl", tmp_path_factory.mktemp("checkpoint")))
    if request.param == "plain":
        model._runner = PlainRunner(model.model, model.processor)
    return model


def asked() -> Prompt:
    return Prompt.ask(Image.new("RGB", (56, 56), "green"), "How good is it?")


def test_a_model_asks_between_decoding_steps_and_before_a_pass(lmm):
    ask = Ask()
    with questions_by(ask):
        lmm.generate([asked()], max_new_tokens=12)
    assert ask.asked >= 10
    with pytest.raises(Gone), questions_by(Ask(5)):
        lmm.generate([asked()], max_new_tokens=12)
    with pytest.raises(Gone), questions_by(Ask(0)):
        lmm.word_logits([asked()], ["good", "poor"])
    # A model that was stopped answers the next one as ever.
    assert lmm.word_logits([asked()], ["good", "poor"]).shape == (1, 2)


def test_work_on_cores_side_by_side_asks_between_items():
    with pytest.raises(Gone), questions_by(Ask(2)):
        list(side_by_side(lambda number: number, range(9)))


def test_a_budget_lets_in_what_fits_and_the_others_in_order():
    budget, entered = Budget(10), []
    inside, go_on = threading.Event(), threading.Event()

    def hold(name: str, amount: float) -> None:
        with budget.taken(amount):
            entered.append(name)
            inside.set()
            go_on.wait(30)

    threads = [threading.Thread(target=hold, args=("first", 8))]
    threads[0].start()
    assert inside.wait(30)
    for name, amount in (("large", 5), ("small", 1)):
        threads.append(threading.Thread(target=hold, args=(name, amount)))
        threads[-1].start()
        while len(budget._waiting) < len(threads) - 1:
            pass
    # The small one would fit, and waits all the same: else the large one might wait for ever.
    assert entered == ["first"]
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert entered == ["first", "large", "small"]
    assert budget.amount == 0


def test_what_is_larger_than_a_budget_is_let_in_alone():
    budget = Budget(10)
    with budget.taken(50):
        assert budget.amount == 10
    with pytest.raises(Gone), questions_by(Ask(1)), budget.taken(10), budget.taken(1):
        pass
    assert budget.amount == 0
    assert not budget._waiting


def test_decoding_waits_for_room(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (300, 200), "red").save(path)
    assert size_of(path) == (300, 200)
    try:
        limit_decoding(300 * 200 * 8)
        assert decode(path).image.size == (300, 200)
        from methods.images import decoding

        assert decoding._together is not None
        with decoding._together.taken(1), pytest.raises(Gone), questions_by(Ask(1)):
            decode(path)
        assert decoding._together.amount == 0
        decode(path)
    finally:
        limit_decoding(None)
