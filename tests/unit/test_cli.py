"""`python -m methods`: rows, exit status, flags made from options, and behaviour when readers or people leave early."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods import base
from methods.__main__ import main
from methods.base import Evidence, Method, Options, Verdict, option
from methods.lmm.base import LMMError

REPOSITORY = Path(__file__).resolve().parents[2]


CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class BrightnessOptions(Options):
    gain: float = option(1.0, "Multiplies the brightness; 50 % is half.", low=0.0, high=10.0)
    colours: tuple[str, ...] = option(CHANNELS, "Which channels count.", choices=CHANNELS)
    invert: bool = option(False, "Dark is good.")
    top_k: int | None = option(None, "The brightest k pixels only.")
    wording: str = option("short", "How the verdict is worded.", choices=("short", "long"))


@dataclass(frozen=True)
class BrightnessEvidence(Evidence):
    channels: np.ndarray


class Brightness(Method):
    """Scores by mean brightness. A picture of one pixel breaks it, a batch with it as a whole."""

    name = "brightness"
    title = "Brightness"
    summary = "The brighter the better."
    citation = ""
    native_range = (0.0, 255.0)
    needs_lmm = False
    options = BrightnessOptions()

    @property
    def lmm_id(self) -> str:
        return "none"

    def _assess(self, images: list[Image.Image], options: BrightnessOptions) -> list[Verdict]:
        print("a library that talks on stdout")
        if any(image.size == (1, 1) for image in images):
            raise LMMError("A single pixel has no quality; show more.")
        if any(image.size == (2, 2) for image in images):
            raise ZeroDivisionError("division by zero")
        verdicts = []
        for image in images:
            channels = np.asarray(image).mean(axis=(0, 1))[[CHANNELS.index(name) for name in options.colours]]
            native = min(float(channels.mean()) * options.gain, 255.0)
            score = 1 - native / 255 if options.invert else native / 255
            verdicts.append(Verdict(score, native, f"{options.wording} {len(images)}", BrightnessEvidence(channels)))
        return verdicts


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(base.METHODS, "brightness", f"{__name__}:Brightness")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of known brightness in nested folders, among files that are none."""
    for name, level in {"b.png": 51, "a.PNG": 102, "z/c.png": 153, "z/y/d.jpg": 204}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (level, level, level)).save(path, "PNG")
    (tmp_path / "photos" / "notes.txt").write_text("not a picture")
    (tmp_path / "photos" / ".hidden.png").write_bytes(b"")
    (tmp_path / "photos" / ".cache").mkdir()
    (tmp_path / "photos" / ".cache" / "thumb.png").write_bytes(b"")
    return tmp_path / "photos"


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as left:
        status = left.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def table(text: str) -> list[dict[str, str]]:
    assert text.splitlines()[0] == "path,score,native_score,seconds,error"
    return list(csv.DictReader(io.StringIO(text)))


def test_a_folder_is_walked_in_a_stable_order(folder: Path, capsys):
    status, out, err = run(capsys, "score", folder, "--method", "brightness")
    rows = table(out)
    assert status == 0
    names = [Path(row["path"]).relative_to(folder).as_posix() for row in rows]
    assert names == ["a.PNG", "b.png", "z/c.png", "z/y/d.jpg"]
    assert [row["score"] for row in rows] == ["0.400000", "0.200000", "0.600000", "0.800000"]
    assert [float(row["native_score"]) for row in rows] == [102, 51, 153, 204]
    assert all(float(row["seconds"]) >= 0 and row["error"] == "" for row in rows)
    assert "4/4" in err
    assert "talks on stdout" not in out


def test_files_come_in_the_order_given_whatever_their_name(folder: Path, capsys):
    odd = folder / "picture.dat"
    (folder / "b.png").rename(odd)
    status, out, _ = run(capsys, "score", folder / "z" / "c.png", odd, folder / "a.PNG", "--method", "brightness")
    assert status == 0
    assert [Path(row["path"]).name for row in table(out)] == ["c.png", "picture.dat", "a.PNG"]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_bad_files_are_rows_and_never_harm_their_neighbours(folder: Path, capsys, batch_size: int):
    (folder / "aa-empty.png").write_bytes(b"")
    (folder / "ab-page.jpg").write_text("<html>404</html>")
    Image.new("RGB", (1, 1)).save(folder / "ac-pixel.png")
    Image.new("RGB", (2, 2)).save(folder / "ad-bug.png")
    status, out, err = run(capsys, "score", folder, "nowhere.png", "--method", "brightness", "--batch-size", batch_size)
    rows = {Path(row["path"]).name: row for row in table(out)}
    assert status == 1
    assert list(rows) == ["a.PNG", "aa-empty.png", "ab-page.jpg", "ac-pixel.png", "ad-bug.png", "b.png", "c.png",
                          "d.jpg", "nowhere.png"]  # fmt: skip
    assert "empty" in rows["aa-empty.png"]["error"]
    assert "web page" in rows["ab-page.jpg"]["error"]
    assert rows["ac-pixel.png"]["error"] == "A single pixel has no quality; show more."
    assert rows["ad-bug.png"]["error"] == "ZeroDivisionError: division by zero"
    assert "no file" in rows["nowhere.png"]["error"]
    for name in ("aa-empty.png", "ac-pixel.png"):
        assert rows[name]["score"] == rows[name]["native_score"] == rows[name]["seconds"] == ""
    assert {name: rows[name]["score"] for name in ("a.PNG", "b.png", "c.png", "d.jpg")} == {
        "a.PNG": "0.400000", "b.png": "0.200000", "c.png": "0.600000", "d.jpg": "0.800000"}  # fmt: skip
    assert "5 of 9 could not be scored." in err
    assert "Traceback" in err  # Of the bug, so that it can be found and mended.


def test_an_empty_folder_is_a_row_with_its_error(tmp_path: Path, capsys):
    status, out, _ = run(capsys, "score", tmp_path, "--method", "brightness")
    assert status == 1
    assert "no image files" in table(out)[0]["error"]


def test_json_holds_the_whole_assessment(folder: Path, capsys):
    (folder / "broken.png").write_bytes(b"x")
    status, out, _ = run(capsys, "score", folder, "--method", "brightness", "--format", "json", "--wording", "long")
    records = json.loads(out)
    assert status == 1
    assert [Path(record["path"]).name for record in records] == ["a.PNG", "b.png", "broken.png", "c.png", "d.jpg"]
    assert records[0]["score"] == pytest.approx(0.4)
    assert records[0]["error"] is None
    assert records[0]["evidence"]["channels"] == [102.0] * 3
    assert records[0]["options"]["wording"] == "long"
    assert records[0]["native_range"] == [0.0, 255.0]
    assert records[2]["score"] is None
    assert "not an image" in records[2]["error"]


def test_options_become_flags(folder: Path, capsys):
    picture = folder / "colour.png"
    Image.new("RGB", (8, 8), (255, 51, 0)).save(picture)
    _, out, _ = run(capsys, "score", picture, "--method", "brightness", "--colours", "green", "--gain", 2, "--invert")
    assert table(out)[0]["score"] == "0.600000"
    _, out, _ = run(capsys, "score", picture, "--method", "brightness", "--colours", "red, blue", "--no-invert")
    assert table(out)[0]["score"] == "0.500000"
    status, out, _ = run(capsys, "score", "--method=brightness", "--help")
    assert status == 0
    assert "--top-k" in out
    assert "0.0 to 10.0; default 1.0" in " ".join(out.split())
    assert "50 % is half" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "usage: python -m methods COMMAND"),
        (("score",), "PATH"),
        (("score", "a.png"), "--method"),
        (("score", "--method", "brightness"), "PATH"),
        (("score", "a.png", "--method", "brightnes"), "did you mean 'brightness'"),
        (("score", "a.png", "--method", "brightness", "--gain", "99"), "between 0.0 and 10.0"),
        (("score", "a.png", "--method", "brightness", "--gain", "much"), "not a number"),
        (("score", "a.png", "--method", "brightness", "--top-k", "1.5"), "not a whole number"),
        (("score", "a.png", "--method", "brightness", "--colours", "mauve"), "red, green, blue"),
        (("score", "a.png", "--method", "brightness", "--gian", "1"), "--gian"),
        (("score", "a.png", "--method", "brightness", "--batch-size", "0"), "at least 1"),
        (("score", "a.png", "--method", "brightness", "--lmm", "embedded"), "brings its own network"),
        (("score", "a.png", "--method", "brightness", "--format", "xml"), "xml"),
        (("score", "a.png", "--method", "q-bench", "--lmm", "./no-such-checkpoint"), "no folder"),
        (("score", "a.png", "--method", "iqarag", "--option", "reference_set=./no-such-set"), "no-such-set"),
        (("table",), "table"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_one_message(arguments: tuple[str, ...], words: str, capsys):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert words in err
    assert "Traceback" not in err


def test_list_names_methods_options_cost_and_lmms(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    for words in ("q-bench: Q-Bench", "1 LMM passes per image", "--temperature", "brightness: Brightness",
                  "brings its own network", "embedded", "Qwen/Qwen3-VL-8B-Instruct", "Apache-2.0"):  # fmt: skip
        assert words in out


def test_list_hides_no_broken_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(base.METHODS, "broken", "needs_more:Broken")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_missing"):
        main(["list"])


# --- as a process -----------------------------------------------------------------------------------------------------

FAKE = f"""
import select, signal, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from methods import base
from methods.__main__ import main
import tests.unit.test_cli as cli
base.METHODS["brightness"] = "tests.unit.test_cli:Brightness"
signal.signal(signal.SIGINT, getattr(signal, sys.argv.pop(1)))
batches = int(sys.argv.pop(1))
assess = cli.Brightness._assess
def gated(self, images, options):
    global batches
    batches -= 1
    while batches < 0 and not select.select([sys.stdin], [], [], 0.1)[0]:
        pass
    return assess(self, images, options)
cli.Brightness._assess = gated
sys.exit(main())
"""
"""Scores so many batches and then waits until its stdin is closed, however fast or busy the machine is."""

PATIENCE = 120


def start(folder: Path, batches: int, *more: str, interrupt: str = "default_int_handler") -> subprocess.Popen:
    """The process; what Ctrl-C does to it is set, because a shell that starts the tests in the background has it
    ignored."""
    command = [sys.executable, "-c", FAKE, interrupt, str(batches), "score", str(folder), "--method", "brightness",
               "--batch-size", "1", *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            cwd=REPOSITORY)


def test_a_reader_that_leaves_early_is_no_traceback(folder: Path):
    process = start(folder, 0)
    assert process.stdout.readline() == b"path,score,native_score,seconds,error\n"
    process.stdout.close()
    process.stdin.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(PATIENCE) == 1
    assert "Traceback" not in error
    assert "BrokenPipe" not in error


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.slow
def test_ctrl_c_leaves_the_finished_rows(folder: Path, form: str):
    process = start(folder, 2, "--format", form)
    # Rows are flushed as they are made; the line of a JSON row ends with the next one.
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    out, error = process.stdout.read(), process.stderr.read()
    assert process.wait(PATIENCE) == 130
    assert b"Traceback" not in error
    printed = (b"".join(lines) + out).decode()
    rows = table(printed) if form == "csv" else json.loads(printed)
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    assert 1 <= len(rows) <= 2
    assert all(0 <= float(row["score"]) <= 1 for row in rows)


@pytest.mark.slow
def test_where_ctrl_c_is_ignored_no_row_is_interrupted(folder: Path):
    """As for a command that a script starts in the background: Ctrl-C is meant for the others."""
    process = start(folder, 1, interrupt="SIG_IGN")
    lines = [process.stdout.readline()]
    for _ in range(20):
        process.send_signal(signal.SIGINT)
    process.stdin.close()
    for line in process.stdout:
        process.send_signal(signal.SIGINT)
        lines.append(line)
    error = process.stderr.read()
    assert process.wait(PATIENCE) == 0, error.decode()
    assert len(table(b"".join(lines).decode())) == 4
    process.stdout.close()
    process.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="file names are text on this system")
def test_a_file_name_that_is_not_text_survives(folder: Path):
    name = b"caf\xe9.png"
    try:
        os.rename(os.fsencode(folder / "a.PNG"), os.path.join(os.fsencode(folder), name))
    except OSError:
        pytest.skip("this file system takes text names only")
    out, _ = start(folder, 99).communicate(timeout=PATIENCE)
    assert name in out


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_help_and_list_are_quick_and_load_no_torch(arguments: list[str]):
    code = ("import sys; from methods.__main__ import main\n"
            "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
            "print('torch' in sys.modules, 'transformers' in sys.modules, 'gradio' in sys.modules)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False False False"


def test_the_module_runs_by_name():
    done = subprocess.run([sys.executable, "-m", "methods", "--help"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0
    assert "score" in done.stdout


def test_the_embedded_model_scores_from_the_shell(folder: Path, capsys):
    if not (REPOSITORY / "assets" / "embedded-lmm" / "config.json").is_file():
        pytest.skip("assets/embedded-lmm is not in this checkout")
    y, x = np.mgrid[0:200, 0:300]
    Image.fromarray(((x + y) % 256).astype(np.uint8)).save(folder / "ramp.png")
    status, out, _ = run(capsys, "score", folder, "--method", "q-bench", "--lmm", "embedded")
    assert status == 0
    assert all(0 <= float(row["score"]) <= 1 for row in table(out))
