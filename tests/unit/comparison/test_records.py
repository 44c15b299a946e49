"""A comparison survives JSON exactly, and what is not one is refused."""

from __future__ import annotations

import copy
import json

import pytest

from tests.unit.comparison.made import compared
from ui.comparison.exports import record, write_json
from ui.comparison.records import from_dict


@pytest.mark.parametrize("error", [None, 20.0])
def test_it_comes_back_as_it_was(error):
    before = compared([[0.1 + 0.2, 0.7], [None, 1 / 3]], error)
    assert from_dict(json.loads(json.dumps(before.to_dict(), allow_nan=False))) == before


@pytest.mark.parametrize("damage", [
    lambda r: r.pop("cells"), lambda r: r["cells"][0].update(picture=7), lambda r: r["cells"][0].update(system=-1),
    lambda r: r["cells"][0].update(score=1.5), lambda r: r["cells"][0].update(score="0.5"),
    lambda r: r["cells"][0].update(score=float("nan")), lambda r: r["cells"][0].update(score=None),
    lambda r: r["cells"][0].update(explanation=["<b>"]), lambda r: r["pictures"].append(None),
    lambda r: r["pictures"][0].update(name=3), lambda r: r.update(versions=[1]), lambda r: r.update(format="1"),
    lambda r: r.update(format=99), lambda r: r["cells"][0]["spread"].update(low=-2),
    lambda r: r["cells"][0].update(opinion=[50, 60, 70]), lambda r: r["cells"][0].update(opinion=[50]),
    lambda r: r["cells"][0].update(native_range=[1]), lambda r: r["systems"][0].update(options=3),
])  # fmt: skip
def test_what_is_no_comparison_is_refused(damage):
    wrong = copy.deepcopy(compared([[0.5, 0.6]]).to_dict())
    damage(wrong)
    with pytest.raises(ValueError, match="comparison"):
        from_dict(wrong)


@pytest.mark.parametrize("wrong", [None, [], "text", {}, {"format": 1}])
def test_other_json_is_refused(wrong):
    with pytest.raises(ValueError, match="comparison"):
        from_dict(wrong)


def test_a_record_from_before_there_were_opinions_is_read():
    old = compared([[0.5, 0.6]])
    record = old.to_dict()
    for cell in record["cells"]:
        del cell["opinion"]
    assert from_dict(record) == old


def test_the_exported_record_is_json_and_holds_the_summary(tmp_path):
    made = compared([[0.5, 0.6], [0.7, 0.3]])
    write_json(made, tmp_path / "record.json", share_id="abc")
    whole = json.loads((tmp_path / "record.json").read_text("utf-8"))
    assert whole["share"] == "abc"
    assert whole["summary"]["agreement"][0]["pairs_in_same_order"] == 0
    assert whole["cells"][0]["options"] == {"seed": 0}
    assert whole["versions"]["torch"] == "2"
    assert "figure" not in whole["cells"][0]
    assert record(made)["summary"] == whole["summary"]
