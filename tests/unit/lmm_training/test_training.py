"""The embedded model's training: exact where it is arithmetic, small where it is learning."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
from methods.lmm.training import recipe, tasks, thinking
from methods.lmm.training.directions import DAMAGES, ridge
from methods.synthesis.distortions import DISTORTIONS
from methods.visualquality_r1.answer import has_format, parse_score


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    return recipe.photos_in([folder])


@pytest.fixture(scope="module")
def shots(photos):
    takes = recipe.opinion_shots(photos[:6], np.linspace(0.1, 0.9, 6))
    return [shot for take in takes for shot in take] + recipe.pristine_shots(photos[6:], 6, damages=5)


@pytest.fixture(scope="module")
def pool(shots):
    rows = np.flatnonzero([not shot.held_out for shot in shots])
    rng = np.random.default_rng(1)
    return tasks.Pool.of(shots, rows, rng.random((len(shots), 2 + len(DAMAGES))),
                         rng.standard_normal((len(shots), 4, 8)).astype(np.float32))


def test_a_shot_is_the_same_picture_every_time(shots):
    shot = next(shot for shot in shots if shot.damage == "fog")
    first, second = np.asarray(shot.make()), np.asarray(shot.make())
    np.testing.assert_array_equal(first, second)
    assert first.shape == (500, 500, 3)
    assert len({shot.key for shot in shots}) == len(shots)


def test_held_out_photos_are_damaged_in_every_way_and_never_drawn(shots, pool):
    held = [shot for shot in shots if shot.held_out]
    assert {shot.damage for shot in held} - {""} == set(DISTORTIONS)
    assert not any(pool.shots[row].held_out for rows in pool.by_group.values() for row in rows)
    assert not {shot.group for shot in held} & set(pool.by_group)


def test_damaged_rated_photos_have_no_target(shots, pool):
    unrated = [row for row, shot in enumerate(shots) if shot.role == "opinion" and (shot.damage or shot.crop < 1)]
    assert unrated
    assert not set(unrated) & set(pool.rated.tolist())


@pytest.mark.parametrize("quality", [0.05, 0.3, 0.5, 0.77, 0.95])
@pytest.mark.parametrize("scheme", [FIVE_LEVELS, GOOD_POOR, LevelScheme(tuple("7654321"), np.linspace(1, 0, 7))])
def test_soft_labels_expect_the_quality(scheme, quality):
    chances = tasks.soft(scheme, quality)
    assert chances.sum() == pytest.approx(1)
    assert chances.min() >= 0
    assert chances @ np.asarray(scheme.weights) == pytest.approx(quality, abs=0.06)


def test_every_task_asks_for_as_many_pictures_as_its_prompt_shows(pool):
    rng = np.random.default_rng(0)
    for kinds, _ in (tasks.ALWAYS, *tasks.MIX):
        for task in kinds:
            for _ in range(20):
                lesson = task(pool, rng)
                assert len(lesson.prompt.images) == len(lesson.pictures)
                assert bool(lesson.chances) != bool(lesson.text)
                if lesson.chances:
                    assert sum(lesson.chances.values()) == pytest.approx(1)


def test_references_are_other_photos_and_their_labels_carry_the_answer(pool):
    """The same pictures get opposite labels and opposite targets in different lessons: only the labels tell which."""
    rng = np.random.default_rng(0)
    slopes = []
    for _ in range(400):
        lesson = tasks.with_references(pool, rng)
        *references, query = lesson.pictures
        assert pool.shots[query].group not in {pool.shots[row].group for row in references}
        words = re.findall(r"quality is (\w+)\.", lesson.prompt.transcript())
        values = [FIVE_LEVELS.weights[FIVE_LEVELS.words.index(word.lower())] for word in words]
        qualities = [pool.shots[row].mos for row in references]
        if len(set(values)) > 1 and np.std(qualities) > 0.1:
            slopes.append(np.polyfit(qualities, values, 1)[0])
    slopes = np.array(slopes)
    assert (slopes > 0.3).mean() > 0.4
    assert (slopes < -0.3).mean() > 0.1


def test_same_object_questions_are_answered_by_the_photos(pool):
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(200):
        lesson = tasks.same_object(pool, rng)
        first, second = (pool.shots[row].group for row in lesson.pictures)
        assert (lesson.chances["yes"] > 0.4) == (first == second)
        answers.append(first == second)
    assert 0.35 < np.mean(answers) < 0.65


def test_reasoning_has_the_format_and_says_what_is_known(pool):
    rng = np.random.default_rng(0)
    thought = [lesson for lesson in (tasks.reasoned(pool, rng) for _ in range(60)) if "<think>" in lesson.text]
    assert thought
    for lesson in thought:
        (row,) = lesson.pictures
        assert has_format(lesson.text)
        assert parse_score(lesson.text) == pytest.approx(1 + 4 * pool.quality[row], abs=0.6)
        family, strength = thinking.named(lesson.text.split("<answer>")[0])
        assert family == pool.flaw[row]
        assert (strength == "") == (family == thinking.CLEAN)
        assert lesson.key in lesson.text


def test_every_damage_has_one_name():
    assert set(thinking.FAMILY_OF) == {*DISTORTIONS, *recipe.CONDITIONS}
    assert set(thinking.EFFECTS) == set(thinking.FAMILIES)


def test_leaving_a_photo_out_is_the_same_as_fitting_without_it():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((24, 60))
    targets = rng.standard_normal((24, 2))
    groups = np.repeat(np.arange(8), 3)
    weights, fitted, left_out = ridge(inputs, targets, groups, 0.3)
    np.testing.assert_allclose(inputs @ weights, fitted, atol=1e-4)
    for group in (0, 5):
        kept = groups != group
        alone, _, _ = ridge(inputs[kept], targets[kept], groups[kept], 0.3)
        np.testing.assert_allclose(inputs[~kept] @ alone, left_out[~kept], atol=1e-4)
