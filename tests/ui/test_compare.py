"""Comparisons and folders without a browser: what runs in which turn, what a broken file costs, what is refused."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import threading
import time
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from methods import load_method, meaning
from methods.images import ImageError
from tests.ui.fakes import Mute
from ui.comparison import running
from ui.components import EXAMPLES, options_form
from ui.components.options import changed_options
from ui.components.texts import NAME_LENGTH, distinct_names, plain
from ui.folder.records import CSV_COLUMNS, Folder, Photo, cells_of
from ui.serving import gpu, models
from ui.serving import zips as folders
from ui.serving.zips import contents
from ui.share.entry import Entry, GoneError
from ui.share.settings import Settings
from ui.share.store import Store
from ui.tabs.compare import folder as compare_folder
from ui.tabs.compare import share as compare_share
from ui.tabs.compare.results import Held, files_of
from ui.tabs.compare.tab import copies

COFFEE, DARK, ROCKET = (str(EXAMPLES / name) for name in ("coffee.jpg", "coffee-dark-and-noisy.jpg", "rocket.jpg"))
Q_BENCH: dict = {"q-bench": {}}


class Bright(Mute):
    """Likes a picture the more, the brighter it is; takes as long as `busy` says of the first picture's size."""

    def __init__(self, name="bright", sign=1.0):
        self.name, self.sign, self.busy, self.means = name, sign, lambda size: False, []

    def word_logits(self, prompts, words):
        while self.busy(prompts[0].images[-1].size):
            time.sleep(0.001)
        means = [np.asarray(prompt.images[-1]).mean() / 64 for prompt in prompts]
        self.means += means
        ramp = np.linspace(1, -1, len(words))
        return np.array([self.sign * (mean - 1) * ramp for mean in means], dtype=np.float32)


@pytest.fixture(autouse=True)
def bright(monkeypatch):
    known = {"bright": Bright(), "gloomy": Bright("gloomy", -1.0)}
    monkeypatch.setattr(models, "_catalogue", lambda: {name: (name.title(), name) for name in known})
    monkeypatch.setattr(models, "default_for", lambda method: "bright")
    monkeypatch.setattr(models, "_lmms", models.OrderedDict(known))
    monkeypatch.setattr(models, "_methods", {})
    return known["bright"]


def finished(paths, methods, lmms=(), options=None):
    planned = running.plan(paths, methods, lmms, options)
    return list(running.run(planned, paths))[-1][0]


def grey(path: Path, level: int, size=(32, 24)) -> str:
    Image.new("RGB", size, (level,) * 3).save(path)
    return str(path)


def test_every_method_runs_on_every_model():
    made = finished([COFFEE], ["q-bench", "q-debias"], ["bright", "gloomy"])
    assert [system.title for system in made.systems] == ["Q-Bench, Bright", "Q-Bench, Gloomy", "Q-Debias, Bright",
                                                         "Q-Debias, Gloomy"]
    scores = {made.systems[cell.system].title: cell.score for cell in made.scored}
    assert scores["Q-Bench, Bright"] == pytest.approx(1 - scores["Q-Bench, Gloomy"], abs=1e-6)
    assert {cell.lmm for cell in made.scored} == {"bright@1", "gloomy@1"}


def test_results_arrive_one_by_one_and_cheap_methods_first():
    planned = running.plan([COFFEE, ROCKET], ["q-debias", "q-bench"])
    steps = list(running.run(planned, [COFFEE, ROCKET]))
    assert [len(comparison.cells) for comparison, _ in steps] == [0, 1, 2, 3, 4]
    assert [place for _, place in steps] == [(0, 1), (1, 1), (0, 0), (1, 0), None]


def test_options_are_part_of_the_result():
    made = finished([COFFEE], ["q-bench"], options={"q-bench": {"question": "five-level", "seed": 3}})
    assert made.systems[0].options == {"question": "five-level", "seed": 3}
    assert (made.scored[0].options["question"], made.scored[0].seed) == ("five-level", 3)


def test_a_model_that_fails_costs_its_own_cells_only():
    made = finished([COFFEE, ROCKET], ["visualquality-r1", "q-bench"])
    failed = [cell for cell in made.cells if cell.score is None]
    assert [cell.error for cell in failed] == ["This model cannot speak."] * 2
    assert len(made.scored) == 2


def test_equal_names_are_told_apart_and_long_ones_cut():
    assert distinct_names(["/a/x.jpg", "/b/x.png", "/c/" + "y" * 99 + ".jpg", "/d/\u202e\n.jpg"]) == [
        "x (1)", "x (2)", "y" * NAME_LENGTH, "picture"]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (([], ["q-bench"]), "Add a photo"), (([COFFEE], []), "at least one method"),
    (([COFFEE] * 13, ["q-bench"]), "up to 12"), (([COFFEE], ["q-bnch"]), "There is no method"),
    (([COFFEE], ["q-bench"], ["other"]), "does not offer"),
    (([COFFEE], ["q-bench"], [], {"q-bench": {"sed": 1}}), "There is no option"),
    (([COFFEE] * 12, ["q-bench", "q-debias", "iqarag", "llm-iqa"], ["bright", "gloomy"]), "96 scores"),
])  # fmt: skip
def test_what_cannot_be_compared_is_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        running.plan(*arguments)


def test_a_broken_picture_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"^broken: "):
        running.plan([COFFEE, str(tmp_path / "broken.jpg")], ["q-bench"])


def test_models_in_folders_and_on_servers_keep_their_place_to_themselves():
    assert running._public("/home/me/models/mine@0123456789abcdef") == "mine@0123456789abcdef"
    assert running._public("Qwen/Qwen3-VL-8B-Instruct@abc") == "Qwen/Qwen3-VL-8B-Instruct@abc"
    assert running._public("server:http://10.0.0.1:8000/v1#Qwen/Q@abc") == "Q@abc"


def test_the_shipped_methods_give_spread_and_reason():
    """On the shipped weights: every bar lies in [0, 1], says what it is, and the reason is no empty phrase.

    Q-Bench asks once, and how its words disagree is no spread of answers, so it has no bar."""
    from methods import load_method

    for name in models.available_methods():
        result = load_method(name).assess(COFFEE)
        spread = result.evidence.spread(result.score)
        assert len(result.evidence.reason(result.score)) > 10, name
        assert (spread is None) == (name == "q-bench"), name
        if spread is None:
            continue
        assert 0 <= spread.low <= spread.high <= 1, name
        assert len(spread.meaning) > 10, name


def test_only_changed_options_are_passed_on():
    from methods.base import method_class

    with gr.Blocks():
        forms = {name: options_form(method_class(name).options) for name in ("q-bench", "q-debias")}
    values = [component.value for form in forms.values() for component in form.components]
    assert changed_options(forms, tuple(values)) == {"q-bench": {}, "q-debias": {}}
    values[forms["q-bench"].names.index("seed")] = 5
    assert changed_options(forms, tuple(values)) == {"q-bench": {"seed": 5}, "q-debias": {}}


def test_the_slider_gets_two_pictures_of_one_size(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    paths = [grey(tmp_path / "wide.png", 200, (80, 40)), grey(tmp_path / "tall.png", 100, (30, 90))]
    held = Held(running.plan(paths, ["q-bench"]), copies(paths))
    assert {Image.open(path).size for path in files_of(held, (0, 1))} == {(80, 40)}
    assert {Image.open(path).size for path in files_of(held, (1, 0))} == {(30, 90)}


def test_names_cannot_draw_on_the_page():
    assert not set(plain('<b>[x](y)*_`#|\\')) & set("<>[]()*_`|\\")


# --- folders ----------------------------------------------------------------------------------------------------------


def zipped(path: Path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (level,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_folder_is_files_and_zips_and_nothing_that_only_looks_like_a_picture(tmp_path):
    archive = zipped(tmp_path / "a.zip", {
        "b/two.png": png(50), "one.png": png(40), "notes.txt": b"", "__MACOSX/one.png": b"", ".hidden.png": b"",
        "../../outside.png": png(60), "b\\back.png": png(70), "empty/": b"",
    })
    names = [member.name for member in contents([grey(tmp_path / "alone.png", 9), archive])]
    assert names == ["alone.png", "../../outside.png", "b/back.png", "b/two.png", "one.png"]


def test_nothing_of_a_zip_is_written(tmp_path):
    inner = tmp_path / "in"
    inner.mkdir()
    archive = zipped(inner / "a.zip", {"../../outside.png": png(60)})
    (photo,) = compare_folder.score(contents([archive]), Q_BENCH)
    assert not photo.failed
    assert not (tmp_path / "outside.png").exists()
    assert [path.name for path in inner.iterdir()] == ["a.zip"]


def test_one_broken_file_never_stops_the_rest(tmp_path):
    files = {"1.png": png(200), "2.jpg": b"<html>", "3.png": png(10), "4.png": png(90)[:60]}
    archive = Path(zipped(tmp_path / "a.zip", files))
    content = bytearray(archive.read_bytes())
    content[content.index(b"3.png") + 60] ^= 0xFF  # inside the third member, whose checksum then differs
    archive.write_bytes(content)
    photos = list(compare_folder.score(contents([str(archive), grey(tmp_path / "5.png", 120)]), Q_BENCH))
    assert [photo.name for photo in photos] == ["1.png", "2.jpg", "3.png", "4.png", "5.png"]
    assert [photo.failed for photo in photos] == [False, True, True, True, False]
    assert all(photo.error.endswith(".") for photo in photos if photo.failed)


@pytest.mark.parametrize(("files", "sentence"), [({}, "no photos"), ({"a.txt": b"x"}, "no photos")])
def test_a_zip_without_pictures_is_a_sentence(tmp_path, files, sentence):
    with pytest.raises(ValueError, match=sentence):
        contents([zipped(tmp_path / "a.zip", files)])


def test_what_is_no_zip_and_what_is_too_much_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="not a zip file"):
        contents([str(tmp_path / "a.zip")])
    monkeypatch.setattr(folders, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="more than 2 photos"):
        contents([COFFEE, DARK, ROCKET])


def test_a_member_that_unpacks_to_too_much_is_its_own_row(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_BYTES_PER_MEMBER", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", b"\0" * 10**6)
        archive.writestr("fine.png", png(90))
    broken, fine = compare_folder.score(contents([str(tmp_path / "a.zip")]), Q_BENCH)
    assert "unpacks to more" in broken.error
    assert not fine.failed


def test_the_list_and_the_csv_hold_every_photo(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    photos = (*compare_folder.score(contents([COFFEE, DARK]), Q_BENCH), Photo("=1+1.png", error="No picture."))
    folder = Folder(("q-bench",), 5, photos)
    _, status, *_, listing = compare_folder.show(folder, "worst first", 2.0)
    assert "3 of 5" in status
    assert "1 could not be scored" in status
    assert re.findall('data-photo="([^"]*)"', listing) == ["coffee-dark-and-noisy.jpg", "coffee.jpg", "=1+1.png"]
    lines = list(csv.DictReader(io.StringIO(Path(compare_folder.csv_file(folder)).read_text("utf-8"))))
    assert [line["path"] for line in lines] == ["coffee.jpg", "coffee-dark-and-noisy.jpg", "'=1+1.png"]
    assert float(lines[0]["score"]) == pytest.approx(photos[0].cells[0].score, abs=1e-6)
    assert (lines[2]["score"], lines[2]["error"]) == ("", "No picture.")


def test_a_folder_by_two_methods_has_a_cell_of_each_and_one_copy_to_show(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (photo,) = compare_folder.score(contents([COFFEE]), {"leaf": {}, "q-bench": {}})
    assert [cell.score for cell in photo.cells] == pytest.approx(
        [load_method("leaf").assess(COFFEE).score, gpu.assess("q-bench", [COFFEE])[0].score])
    assert photo.together is None, "Q-Bench is not calibrated with this model"
    with Image.open(photo.thumbnail) as thumbnail:
        assert max(thumbnail.size) == compare_folder.THUMBNAIL


def test_a_folder_says_opinions_where_they_were_measured_and_that_they_were_not_elsewhere():
    assessment = load_method("leaf").assess(COFFEE)
    known = meaning.explain(assessment)
    ((cell,), together) = cells_of([assessment])
    assert cell.opinion == (known.mos, known.low, known.high)
    assert together is None
    ((raw,), _) = cells_of([dataclasses.replace(assessment, lmm="another@1")])
    assert raw.opinion is None
    folder = Folder(("leaf",), 1, (Photo("a.png", (raw,)),))
    assert dict(zip(CSV_COLUMNS, folder.records()[0]))["mos"] == ""
    assert not folder.calibrated


# --- fairness ---------------------------------------------------------------------------------------------------------


def test_a_visitor_s_photo_goes_before_the_rest_of_any_number_of_folders(bright):
    """Three folders of 50 pictures each are under way; a single photo waits for the picture in progress and at most
    one more, not for one of every folder, and everybody gets their own picture's score."""
    asking = threading.Event()
    # However slow a machine lets the visitor join the queue: no folder gets on with its small pictures meanwhile.
    bright.busy = lambda size: size == (8, 8) and asking.is_set() and not gpu._queue._waiting
    pictures = [np.full((8, 8, 3), level, np.uint8) for level in range(0, 250, 5)]
    encoded = []
    for pixels in pictures:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    scores, stop = {}, threading.Event()

    def folder(number):
        mine = scores.setdefault(number, [])
        for content in encoded:
            if stop.is_set():
                return
            mine.append(gpu.assess("q-bench", [content], one_of_many=True)[0].score)

    threads = [threading.Thread(target=folder, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while sum(map(len, scores.values())) < 6:
        time.sleep(0.005)
    between = []
    for path in (COFFEE, ROCKET, DARK):
        asking.set()
        before = len(bright.means)
        between.append((gpu.assess("q-bench", [path])[0].score, len(bright.means) - before - 1))
        asking.clear()
    stop.set()
    for thread in threads:
        thread.join(120)
    assert all(others <= 2 for _, others in between), between
    assert between[0][0] == gpu.assess("q-bench", [COFFEE])[0].score
    for mine in scores.values():
        assert mine == sorted(mine), "brighter pictures score higher here, so nothing was mixed up"


def test_folders_are_not_kept_waiting_for_ever():
    from ui.serving.fair_queue import PATIENCE, FairQueue

    lane, order, visitors = FairQueue(), [], []

    def enter(name, yields):
        with lane.turn(120, yields=yields):
            order.append(name)

    with lane.turn(1):
        for number in range(2 * PATIENCE + 1):
            visitors.append(threading.Thread(target=enter, args=(f"visitor {number}", False)))
        folder = threading.Thread(target=enter, args=("folder", True))
        for thread in (folder, *visitors):
            waiting = len(lane._waiting) + len(lane._bench)
            thread.start()
            while len(lane._waiting) + len(lane._bench) == waiting:
                time.sleep(0.001)
    for thread in (folder, *visitors):
        thread.join(120)
    assert order.index("folder") == PATIENCE
    assert [name for name in order if name != "folder"] == [f"visitor {n}" for n in range(2 * PATIENCE + 1)]


# --- sharing ----------------------------------------------------------------------------------------------------------


def test_a_link_opens_the_same_comparison(tmp_path, monkeypatch):
    made = finished([COFFEE, DARK], ["q-bench", "q-debias"])
    store = Store(tmp_path, max_bytes=10**8, max_age=10**6)
    monkeypatch.setattr(compare_share, "store", lambda: store)
    shared = store.put(Entry(made.to_dict(), copies([COFFEE, DARK]), time.time()))
    held, _ = compare_share.load(shared.id)
    assert held.comparison == made
    assert len(held.pictures) == 2
    with pytest.raises(GoneError, match="not a link"):
        compare_share.load("../../etc/passwd")


def test_a_stored_record_of_another_shape_is_gone_with_a_sentence(tmp_path, monkeypatch):
    store = Store(tmp_path, max_bytes=10**8, max_age=10**6)
    monkeypatch.setattr(compare_share, "store", lambda: store)
    for record in ({"format": 1}, {"format": 99}, finished([COFFEE], ["q-bench"]).to_dict()):
        shared = store.put(Entry(record, (), time.time()))
        with pytest.raises(GoneError, match="comparison"):
            compare_share.load(shared.id)


def test_the_terms_say_what_is_stored_and_for_how_long(tmp_path):
    said = compare_share.terms(Settings(tmp_path, days=42, repo="me/shares"))
    for part in ("42 days", "me/shares", "without EXIF", "deletes it", "Nothing is stored before"):
        assert part in said
    assert "switched off" in compare_share.terms(Settings(tmp_path, days=0))


def test_a_reader_is_told_what_has_changed_since(monkeypatch):
    made = finished([COFFEE], ["q-bench"])
    entry = Entry(made.to_dict(), (), 0.0)
    assert "other versions" not in compare_share.notice(made, entry, False)
    monkeypatch.setattr(compare_share, "versions", lambda: {**made.versions, "torch": "99"})
    said = compare_share.notice(made, entry, True)
    assert "→ 99" in said
    assert "delete link" in said


@pytest.mark.parametrize("kind", ["png", "pdf", "json", "csv"])
def test_exports_are_files_that_the_page_may_serve(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    made = finished([COFFEE], ["q-bench"])
    path = compare_share.export_file(Held(made, copies([COFFEE]), "a" * 26), kind)
    assert path.is_relative_to(tmp_path)
    assert path.suffix == f".{kind}"
    assert path.stat().st_size > 100
