"""The embedded model's training: exact where it is arithmetic, small where it is learning."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from methods.embedded import damages
from methods.embedded.lmm import decoder, readout, recipe, schedule, tasks, thinking
from methods.embedded.lmm.readout import CONTENT, FLAW_NAMES, FLAWS, ridge
from methods.embedded.lmm.tower import EARLY, EARLY_WIDTH, READOUT, WIDTH
from methods.kadid.distortions import DISTORTIONS
from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
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
    pristine = recipe.pristine_shots(photos[6:], 6)
    return [*(shot for take in takes for shot in take), *pristine, *recipe.part_shots(pristine)]


@pytest.fixture(scope="module")
def means(shots):
    """Activations in which quality, the flaw and the scene can all be found."""
    rng = np.random.default_rng(3)
    scenes = rng.standard_normal((1 + max(shot.group for shot in shots), 40)) @ rng.standard_normal((40, WIDTH))
    kinds = {name: rng.standard_normal(WIDTH) for name in FLAW_NAMES}
    opinion, damage, camera = rng.standard_normal((3, WIDTH))
    rows = []
    for shot in shots:
        row = 0.3 * scenes[shot.group] + 0.1 * rng.standard_normal(WIDTH)
        if shot.role == "opinion":
            row += 3 * camera + (0 if np.isnan(shot.mos) else 8 * shot.mos) * opinion
        else:
            row += 8 * shot.mos * damage + 4 * kinds.get(readout.true_flaw(shot), 0)
        rows.append(row)
    return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def usable(shots):
    return np.array([not shot.held_out for shot in shots])


@pytest.fixture(scope="module")
def content(shots, means, usable):
    return readout.contents(means[:, EARLY_WIDTH:], shots, usable)


@pytest.fixture(scope="module")
def heads(shots, means, usable):
    """What fine-tuning would leave: regressions of quality and flaws, in units of their own."""
    mos = np.array([shot.mos for shot in shots])
    opinion = np.array([shot.role == "opinion" for shot in shots])
    groups, flaws = np.arange(len(shots)), readout.flaws_of(shots, usable)

    def head(rows, columns, targets):
        centre, level = means[rows][:, columns].mean(axis=0), targets.mean(axis=0)
        weights, _, _ = ridge(means[rows][:, columns] - centre, targets - level, groups[rows], 0.01)
        matrix = np.zeros((targets.shape[1], WIDTH))
        matrix[:, columns] = weights.T
        return matrix, level - matrix[:, columns] @ centre

    everything, named = slice(None), usable & (flaws >= 0)
    rated, pristine = (usable & ~np.isnan(mos) & kind for kind in (opinion, ~opinion))
    return {"opinion": head(rated, slice(EARLY_WIDTH, None), mos[rated][:, None]),
            "damage": head(pristine, everything, mos[pristine][:, None]),
            "flaws": head(named, everything, 9.0 * np.eye(len(FLAW_NAMES))[flaws[named]])}


@pytest.fixture(scope="module")
def fitted(shots, means, usable, heads, content):
    return readout.fit(shots, means, usable, usable, heads, content)


@pytest.fixture(scope="module")
def pool(shots, means, usable, fitted):
    tokens = fitted.training_tokens(means[:, None].astype(np.float16)).mean(axis=1)
    return tasks.Pool.of(shots, np.flatnonzero(usable), tokens, fitted.judge)


def owner(pool, token):
    """Group of the picture whose content a token has, whatever the signs of its components."""
    apart = np.abs(np.abs(pool.tokens[:, CONTENT:]) - np.abs(token[CONTENT:])).mean(axis=1)
    return pool.shots[int(np.argmin(apart))].group


def test_a_shot_is_the_same_picture_every_time(shots):
    shot = next(shot for shot in shots if shot.damage == "fog")
    first, second = np.asarray(shot.make()), np.asarray(shot.make())
    np.testing.assert_array_equal(first, second)
    assert first.shape == (500, 500, 3)
    assert len({shot.key for shot in shots}) == len(shots)


def test_held_out_photos_are_damaged_in_every_way_and_never_drawn(shots, pool):
    held = [shot for shot in shots if shot.held_out]
    assert {shot.damage for shot in held} - {""} == {*DISTORTIONS, *damages.NAMES}
    assert not {shot.damage for shot in shots if not shot.held_out} & set(damages.RENDERED_HELD_OUT)
    assert not any(pool.shots[row].held_out for rows in pool.by_group.values() for row in rows)
    assert not {shot.group for shot in held} & set(pool.by_group)


def test_damaged_rated_photos_have_no_score(shots):
    unrated = [shot for shot in shots if shot.role == "opinion" and (shot.damage or shot.crop < 1)]
    assert unrated
    assert all(np.isnan(shot.mos) for shot in unrated)


def test_the_teacher_finds_quality_and_flaw_in_the_token(shots, means, usable, fitted):
    quality, flaw = fitted.judge(fitted.tokens(means[:, None].astype(np.float16)).mean(axis=1))
    mos = np.array([shot.mos for shot in shots])
    known = usable & ~np.isnan(mos)
    assert np.corrcoef(quality[known], mos[known])[0, 1] > 0.9
    pristine = [row for row, shot in enumerate(shots)
                if usable[row] and shot.role == "pristine" and readout.true_flaw(shot)]
    assert np.mean([FLAW_NAMES[flaw[row]] == readout.true_flaw(shots[row]) for row in pristine]) > 0.9


def test_tokens_are_the_activations_along_the_directions(means, fitted):
    tokens = fitted.tokens(means[:, None].astype(np.float16))
    assert tokens.shape == (len(means), 1, READOUT)
    wanted = means.astype(np.float64) @ fitted.matrix.astype(np.float64).T + fitted.offset
    np.testing.assert_allclose(tokens[:, 0], np.clip(wanted, -6, 6), atol=0.05)
    assert not fitted.matrix[EARLY:, :EARLY_WIDTH].any()


def test_a_refitted_read_out_speaks_the_units_that_a_decoder_knows(means, fitted):
    former = readout.Directions(fitted.matrix, fitted.offset, fitted.calibration * [0.5, 1] + [0, 0.1],
                                fitted.correction)
    again = fitted.on_the_scale_of(former)
    grids = means[:, None].astype(np.float16)
    for channel in range(3):
        (own, other), tokens = (fitted.calibration[channel], former.calibration[channel]), fitted.tokens(grids)
        wanted = (tokens[..., channel] * own[0] + own[1] - other[1]) / other[0]
        inside = np.abs(wanted) < 6
        np.testing.assert_allclose(again.tokens(grids)[..., channel][inside], wanted[inside], atol=2e-3)
    np.testing.assert_array_equal(again.calibration, former.calibration)


def test_content_tells_photos_apart_whatever_was_done_to_them(shots, means, usable, fitted):
    # Twelve photos differ in eleven directions; the best come first.
    tokens = fitted.tokens(means[:, None].astype(np.float16))[:, 0, CONTENT : CONTENT + 8]
    groups = np.array([shot.group for shot in shots])
    rows = np.flatnonzero(usable)
    distances = ((tokens[rows][:, None] - tokens[rows][None]) ** 2).sum(axis=-1)
    same = groups[rows][:, None] == groups[rows][None]
    np.fill_diagonal(distances, np.nan)
    assert np.nanmean(distances[same]) < 0.3 * np.nanmean(distances[~same])


def test_calibration_is_that_of_photos_that_were_held_back(shots, means, usable, heads, content, fitted):
    """The heads know the photos they learned from, so nothing is concluded from these."""
    held = usable & (np.arange(len(shots)) % 2 == 0)
    other = readout.fit(shots, means, usable, held, heads, content)
    tokens = other.tokens(means[:, None].astype(np.float16))[:, 0]
    mos = np.array([shot.mos for shot in shots])
    pristine = np.array([shot.role == "pristine" for shot in shots])
    own = held & pristine & ~np.isnan(mos)
    assert tokens[own, readout.DAMAGE].mean() == pytest.approx(0, abs=0.01)
    assert tokens[own, readout.DAMAGE].std() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(other.calibration[readout.DAMAGE], np.polyfit(tokens[own, readout.DAMAGE], mos[own], 1),
                               atol=0.01)
    assert other.calibration[readout.DAMAGE][0] != fitted.calibration[readout.DAMAGE][0]


def test_damaged_rated_photos_are_neither_camera_photos_nor_pristine_ones(shots, usable):
    best = recipe.Shot(shots[0].photo, "pristine", shots[0].group, 0.4, damage="JPEG", level=3)
    rows = readout._of_one_kind([*shots, best], np.append(usable, True))
    kinds = [(shot.role, shot.damage, shot.crop) for shot, chosen in zip([*shots, best], rows) if chosen]
    assert not rows[-1]
    assert {crop for role, damage, crop in kinds if role == "opinion"} == {1.0}
    assert not any(damage for role, damage, _ in kinds if role == "opinion")
    assert any(role == "pristine" and damage for role, damage, _ in kinds)


def test_directions_survive_the_disk(tmp_path, fitted):
    fitted.save(tmp_path / "fitted.npz")
    again = readout.Directions.load(tmp_path / "fitted.npz")
    np.testing.assert_array_equal(again.matrix, fitted.matrix)
    np.testing.assert_array_equal(again.calibration, fitted.calibration)


def test_a_drawn_token_is_judged_as_it_is_shown(pool, fitted):
    rng = np.random.default_rng(0)
    for _ in range(50):
        token = pool.draw(rng)
        quality, flaw = fitted.judge(token.token[None])
        assert token.quality == pytest.approx(float(quality[0]))
        assert token.flaw == FLAW_NAMES[int(np.argmax(token.token[FLAWS:CONTENT]))] == FLAW_NAMES[int(flaw[0])]


@pytest.mark.parametrize("quality", [0.05, 0.3, 0.5, 0.77, 0.95])
@pytest.mark.parametrize("scheme", [FIVE_LEVELS, GOOD_POOR, LevelScheme(tuple("7654321"), np.linspace(1, 0, 7))])
def test_soft_labels_expect_the_quality(scheme, quality):
    chances = tasks.soft(scheme, quality)
    assert chances.sum() == pytest.approx(1)
    assert chances.min() >= 0
    assert chances @ np.asarray(scheme.weights) == pytest.approx(quality, abs=0.06)


def test_every_task_asks_for_as_many_pictures_as_its_prompt_shows(pool):
    rng = np.random.default_rng(0)
    for kinds, _ in schedule.MIX:
        for task in kinds:
            for _ in range(20):
                lesson = task(pool, rng)
                assert lesson.pictures.shape == (len(lesson.prompt.images), READOUT)
                assert lesson.pictures.dtype == np.float32
                assert bool(lesson.chances) != bool(lesson.text)
                if lesson.chances:
                    assert sum(lesson.chances.values()) == pytest.approx(1)


def test_labels_of_references_carry_the_answer(pool, fitted):
    """Some lessons label better pictures higher, some lower: only the labels tell which."""
    rng = np.random.default_rng(0)
    slopes, answers = [], []
    for _ in range(400):
        lesson = tasks.with_references(pool, rng)
        words = re.findall(r"quality is (\w+)\.", lesson.prompt.transcript())
        values = [FIVE_LEVELS.weights[FIVE_LEVELS.words.index(word.lower())] for word in words]
        quality = fitted.judge(lesson.pictures)[0]
        if len(words) == 5 and quality[:-1].std() > 0.15 and abs(quality[-1] - 0.5) > 0.2:
            slopes.append(np.polyfit(quality[:-1], values, 1)[0])
            answer = sum(2 * lesson.chances[f" {word}"] * weight
                         for word, weight in zip(FIVE_LEVELS.words, FIVE_LEVELS.weights))
            answers.append(np.sign(answer - 0.5) == np.sign(quality[-1] - 0.5))
    slopes, answers = np.array(slopes), np.array(answers)
    assert (slopes > 0.5).sum() > 10
    assert (slopes < -0.5).sum() > 5
    assert answers[slopes > 0.5].mean() > 0.85
    assert answers[slopes < -0.5].mean() < 0.3


def test_the_expected_level_follows_the_labels_as_far_as_they_can_be_trusted():
    weights = np.asarray(FIVE_LEVELS.weights)
    references = np.array([0.1, 0.3, 0.5, 0.7, 0.9])

    strangers, twins = np.eye(6), np.eye(6)
    twins[5, 2] = twins[2, 5] = 0.95

    def answer(labels, quality=0.8, alike=strangers):
        return float(tasks.expected_level(quality, references, np.asarray(labels), alike) @ weights)

    straight = answer(references)
    assert straight == pytest.approx(0.8, abs=0.04)
    assert answer(references + 0.08) == pytest.approx(straight, abs=0.01), "noise, not another scale"
    assert answer(references + 0.35) > straight + 0.07, "a scale that is shifted as a whole"
    assert answer(references - 0.35) < straight - 0.07
    alone = tasks.expected_level(0.8, np.array([0.6]), np.array([0.0]), np.eye(2)) @ weights
    assert alone == pytest.approx(straight, abs=0.06), "one badly rated reference is no other scale"
    assert answer(1 - references) < 0.35
    praised = references + np.array([0, 0, 0.3, 0, 0])
    assert answer(praised, 0.5, twins) > answer(praised, 0.5) + 0.05, "the look-alike's label counts most"
    chances = tasks.expected_level(0.4, references[:1], references[:1], np.eye(2))
    assert chances.sum() == pytest.approx(1)


def test_same_object_questions_are_answered_by_the_photos(pool):
    rng = np.random.default_rng(0)
    answers, right = [], []
    for _ in range(200):
        lesson = tasks.same_object(pool, rng)
        yes = lesson.chances["yes"] > 0.4
        right.append(yes == (owner(pool, lesson.pictures[0]) == owner(pool, lesson.pictures[1])))
        answers.append(yes)
    assert np.mean(right) > 0.9
    assert 0.35 < np.mean(answers) < 0.65


def test_the_better_picture_is_preferred(pool, fitted):
    rng = np.random.default_rng(0)
    for _ in range(30):
        lesson = tasks.preferred(pool, rng)
        first, second = fitted.judge(lesson.pictures)[0]
        assert (lesson.chances[" first"] > lesson.chances[" second"]) == (first > second)


def test_reasoning_has_the_format_and_says_what_the_teacher_sees(pool, fitted):
    rng = np.random.default_rng(0)
    thought = [lesson for lesson in (tasks.reasoned(pool, rng) for _ in range(60)) if "<think>" in lesson.text]
    assert thought
    for lesson in thought:
        quality, flaw = fitted.judge(lesson.pictures)
        assert has_format(lesson.text)
        assert parse_score(lesson.text) == pytest.approx(1 + 4 * float(quality[0]), abs=0.6)
        family, strength = thinking.flaw_of(lesson.text.split("<answer>")[0])
        assert family == FLAW_NAMES[int(flaw[0])]
        assert (strength == "") == (family == thinking.CLEAN)
        assert lesson.key in lesson.text


def test_likeness_is_of_contents_and_nothing_else(pool):
    tokens = pool.tokens[:3].copy()
    tokens[1] = tokens[0]
    tokens[1, :CONTENT] += 3
    alike = tasks.likeness(tokens)
    np.testing.assert_allclose(alike, alike.T)
    np.testing.assert_allclose(np.diag(alike), 1)
    assert alike[0, 1] == pytest.approx(1)
    assert alike[0, 2] < 0.9


def test_only_a_part_of_a_photo_is_damaged(photos):
    pristine = recipe.pristine_shots(photos[6:], 6)
    corners = recipe.part_shots(pristine)
    for inside, outside in zip(corners[::2], corners[1::2], strict=True):
        assert (inside.part, outside.part) == ("inside", "outside")
        assert (inside.photo, inside.seed) == (outside.photo, outside.seed)
        assert outside.mos == recipe.INTACT > inside.mos
    inside, outside = (np.asarray(corners[place].make(), float) for place in (0, 1))
    assert inside.shape == outside.shape == (500, 500, 3)
    assert np.abs(inside - outside).mean() > 1


def test_every_damage_has_one_name():
    assert set(thinking.FAMILY_OF) == {*DISTORTIONS, *recipe.CONDITIONS, *damages.NAMES} - {"two at once"}
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


def test_a_ladder_shows_each_training_photo_at_all_levels_of_one_damage(shots):
    pristine = [shot for shot in shots if shot.role == "pristine"]
    ladder = recipe.ladder_shots(pristine)
    trained = {shot.group for shot in pristine if not shot.held_out}
    assert {shot.group for shot in ladder} == trained
    for group in trained:
        own = [shot for shot in ladder if shot.group == group]
        assert [(shot.damage, shot.level) for shot in own] == [(name, level) for name in recipe.LADDERS
                                                               for level in range(1, 6)]
        brightness = [np.asarray(shot.make(), float).mean() for shot in own]
        assert brightness == sorted(brightness, reverse=True)


def test_the_last_quarter_of_the_steps_compares_pictures():
    steps = 400
    first, last = ([kinds for step in part for kinds, _ in schedule.lessons(step, steps)]
                   for part in (range(300), range(300, steps)))
    everything = {kind for group, _ in schedule.MIX for kind in group}
    assert {kind for kinds in first for kind in kinds} == everything
    assert {kind for kinds in last for kind in kinds} == everything, "what was learned first is kept up"
    assert last.count((tasks.same_object,)) == len(last) // 2
    writing = [kinds for step in range(steps, schedule.all_steps(steps)) for kinds, _ in schedule.lessons(step, steps)]
    assert writing.count((tasks.reasoned,)) == len(writing) // 2 == steps // 6
    assert {kind for kinds in writing for kind in kinds} == everything


def test_the_learning_rate_has_one_arc_for_each_part():
    rates = [decoder._schedule(step, 4000) for step in range(4000 + 4000 // 6)]
    assert max(rates[4000:]) == decoder.SECOND_RATE
    assert max(rates) == 1
    assert rates[2999] == pytest.approx(0.01, abs=1e-3)
    assert max(rates[3000:4000]) == decoder.SECOND_RATE
    assert rates[3999] == pytest.approx(rates[-1], abs=1e-4)
    assert rates[-1] == pytest.approx(0.01 * decoder.SECOND_RATE, abs=1e-3)
