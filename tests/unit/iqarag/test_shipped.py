"""The set that ships: free photographs, every quality bin, borrowed opinions, and features that follow the model."""

from __future__ import annotations

import numpy as np
import pytest

from methods.embedded import reference_set as shipped
from methods.iqarag import opened_sets
from methods.iqarag.method import IQARAG
from methods.iqarag.reference_set import ReferenceSet, content_hash
from methods.iqarag.retrieval import bins_of
from methods.kadid.distortions import DISTORTIONS, level_mos

from .conftest import BrightnessLMM, grey


def test_recipes_cover_every_photograph_bin_and_type():
    recipes = list(shipped.recipes())
    for source in shipped.SOURCES:
        mine = [mos for one, _, _, mos in recipes if one is source]
        assert np.bincount(bins_of(mine), minlength=5).tolist() == [shipped.A_BIN] * 5
    assert {name for _, name, _, _ in recipes} == set(DISTORTIONS)
    assert len({(source.name, name, level) for source, name, level, _ in recipes}) == len(recipes)
    assert all(mos == level_mos(name, level) for _, name, level, mos in recipes)


def test_grey_photographs_are_not_given_colour_damage():
    for source, name, _, _ in shipped.recipes():
        if "in grey" in source.what:
            assert "color" not in name.lower()
            assert "saturation" not in name.lower()


def test_an_undamaged_photograph_is_excellent():
    assert 0.85 < shipped.pristine_mos() <= 1


def test_the_page_names_every_source_and_its_licence():
    page = shipped.sources_page()
    for source in shipped.SOURCES:
        assert f"| `{source.name}` | {source.what} | {source.licence} | {source.origin} |" in page
    assert {source.licence for source in shipped.SOURCES} == {"CC0", "public domain"}


def test_no_recipe_leaves_a_photograph_as_it_was():
    named = {(name, level) for _, name, level, _ in shipped.recipes()}
    assert ("GBLUR", 1) not in named
    assert len(named) > 50


class TestOnDisk:
    @pytest.fixture
    def folder(self):
        assert opened_sets.SHIPPED_FOLDER.is_dir(), "run `python -m methods.embedded.reference_set`"
        return opened_sets.SHIPPED_FOLDER

    def test_it_is_small_and_whole(self, folder):
        references = ReferenceSet.load(folder)
        assert len(references) == 10 + len(list(shipped.recipes()))
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 6 * 2**20
        assert np.bincount(bins_of(references.mos), minlength=5).min() >= 20
        for number, content in enumerate(references.contents):
            assert content_hash(references.image(number)) == content
        assert (folder / "SOURCES.md").read_text() == shipped.sources_page()

    def test_another_model_encodes_it_on_first_use(self, folder):
        lmm = BrightnessLMM()
        method = IQARAG(lmm)
        result = method.assess(grey(128))
        assert lmm.embedded == 1 + len(ReferenceSet.load(folder))
        assert len(result.evidence.references) >= 1
        method.assess(grey(129))
        assert lmm.embedded == 2 + len(ReferenceSet.load(folder))
