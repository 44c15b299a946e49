"""The training command: what it refuses, in one sentence each, and what a resumed run is held to."""

import json
from pathlib import Path

import pytest
from PIL import Image

from methods.cli.running import parser_of
from methods.torchvision_compat import ensure_torchvision
from methods.visualquality_r1 import train
from methods.visualquality_r1.thurstone import VARIANTS

CONFIGS = Path(train.__file__).parent / "configs"


@pytest.fixture
def table(tmp_path):
    def write(*scores):
        for index in range(len(scores)):
            Image.new("RGB", (8, 8), (index * 20, 0, 0)).save(tmp_path / f"p{index}.png")
        file = tmp_path / "set.csv"
        file.write_text("\n".join(["image,mos", *(f"p{index}.png,{score}" for index, score in enumerate(scores))]))
        return str(file)

    return write


def refused(capsys, tmp_path, *arguments):
    assert train.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    program = "python -m methods.visualquality_r1.train:"
    (sentence,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith(program))
    return sentence


@pytest.mark.parametrize(
    ("scores", "more", "said"),
    [
        ([3], [], "at least 2 are needed"),
        ([3, 4], [], "cannot be dealt into 3 parts"),
        ([3, 3, 3, 3], [], "never differ"),
        ([1, 2, 3, 4], ["--content", "("], "not a regular expression"),
        ([1, 2, 3, 4], ["--content", "^z"], "fits no image's name"),
        ([1, 2, 3, 4], ["--images", "a", "--images", "b"], "one --images for each --scores"),
    ],
)
def test_data_that_cannot_be_used_is_one_sentence(table, tmp_path, capsys, scores, more, said):
    assert said in refused(capsys, tmp_path, "--data", table(*scores), *more)


def test_a_table_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert "There is no file" in refused(capsys, tmp_path, "--data", str(tmp_path / "none.csv"))


def test_a_split_without_a_validation_part_is_refused(table, tmp_path, capsys):
    split = tmp_path / "split.csv"
    split.write_text("set,image,part\n" + "".join(f"set,p{index}.png,train\n" for index in range(4)))
    said = refused(capsys, tmp_path, "--data", table(1, 2, 3, 4), "--split", str(split))
    assert "leaves the training or the validation part empty" in said


def test_the_authors_split_is_asked_for_by_its_name(table, tmp_path, capsys):
    said = refused(capsys, tmp_path, "--data", table(1, 2, 3, 4), "--split", "visualquality-r1")
    assert "no set has its names" in said
    kadid = tmp_path / "kadid" / "dmos.csv"
    kadid.parent.mkdir()
    for name in ("I01_01_01.png", "I19_01_01.png"):
        Image.new("RGB", (8, 8)).save(kadid.parent / name)
    kadid.write_text("dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.6,0.5\nI19_01_01.png,I19.png,4.5,0.6\n")
    said = refused(capsys, tmp_path, "--data", str(kadid), "--split", "visualquality-r1")
    assert "leaves the training or the validation part empty" in said
    split = tmp_path / "out" / "split.csv"
    assert split.read_text() == "set,image,part\ndmos,I01_01_01.png,train\ndmos,I19_01_01.png,test\n"
    split.write_text(split.read_text().replace("test", "validation"))
    said = refused(capsys, tmp_path, "--data", str(kadid), "--split", "visualquality-r1")
    assert "another split than visualquality-r1" in said


@pytest.mark.parametrize("option", ["--generations", "--validate-every", "--gamma", "--lr"])
def test_numbers_that_make_no_run_are_usage_errors(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser_of("train", train.COMMAND)[0].parse_args(["--data", "a.csv", "--out", "o", option, "-1"])
    assert stopped.value.code == 2
    assert "must be at least" in capsys.readouterr().err


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variants_of_table_4_reach_the_reward(variant):
    ensure_torchvision()
    pytest.importorskip("trl", reason="training needs requirements-train.txt")
    from methods.visualquality_r1.training.trainer import RL2RSettings

    words = ["--scores", "a.csv", "--out", "o", "--reward", variant, "--batch", "4"]
    chosen = parser_of("train", train.COMMAND)[0].parse_args(words)
    settings = train._settings(chosen, RL2RSettings)
    assert (settings.variant, settings.images, settings.generations, settings.beta) == (variant, 4, 6, 0.04)


def test_a_resumed_run_is_held_to_its_settings(tmp_path):
    ensure_torchvision()
    pytest.importorskip("trl", reason="training needs requirements-train.txt")
    from methods.visualquality_r1.training.trainer import RL2RSettings

    path = tmp_path / "settings.json"
    train._keep_settings(path, "embedded", RL2RSettings(), resuming=False)
    train._keep_settings(path, "embedded", RL2RSettings(max_steps=90), resuming=True)
    assert json.loads(path.read_text())["max_steps"] == 90
    with pytest.raises(ValueError, match=r"learning_rate 1e-06, not 0\.1"):
        train._keep_settings(path, "embedded", RL2RSettings(learning_rate=0.1), resuming=True)
    train._keep_settings(path, "embedded", RL2RSettings(learning_rate=0.1), resuming=False)


def test_a_checkpoint_that_was_not_finished_is_passed_over(tmp_path):
    assert train.last_checkpoint(tmp_path) is None
    for name, state in (("5", "{}"), ("10", "{}"), ("15", '{"epoch": 1.'), ("20", None), ("best", "{}")):
        folder = tmp_path / f"checkpoint-{name}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert train.last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_the_deepspeed_files_are_what_accelerate_reads():
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    config = load_config_from_file(str(CONFIGS / "zero3.yaml"))
    assert config.distributed_type == "DEEPSPEED"
    named = Path(train.__file__).parents[2] / config.deepspeed_config["deepspeed_config_file"]
    assert named == CONFIGS / "zero3.json"
    deepspeed = HfDeepSpeedConfig(json.loads(named.read_text()))
    assert deepspeed.is_zero3()
    assert not deepspeed.is_offload()
