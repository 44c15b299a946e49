"""RL2R's data, batches and rewards; two processes reward as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from methods.errors import InputError
from methods.torchvision_compat import ensure_torchvision
from methods.visualquality_r1.thurstone import fidelity_reward
from methods.visualquality_r1.training import data
from methods.visualquality_r1.training.reward import (
    Draw,
    FidelityReward,
    batch_rewards,
    format_reward,
    mean_spread,
    text_of,
)


@pytest.fixture
def tables(tmp_path):
    for name, count, scale in (("kadid", 12, 1), ("spaq", 9, 20)):
        folder = tmp_path / name
        folder.mkdir()
        rows = ["image,mos"]
        for index in range(count):
            file = f"I{index // 3:02d}_{index % 3}.png"
            Image.new("RGB", (8, 8), (index * 9, 0, 0)).save(folder / file)
            rows.append(f"{file},{(1 + index % 4) * scale}")
        (folder / f"{name}.csv").write_text("\n".join(rows))
    return [tmp_path / "kadid" / "kadid.csv", tmp_path / "spaq" / "spaq.csv"]


def test_sets_keep_their_own_scale(tables):
    pictures = data.read_sets(tables, [None, None])
    assert {picture.dataset for picture in pictures} == {"kadid", "spaq"}
    assert max(picture.mos for picture in pictures if picture.dataset == "spaq") == 80
    assert max(picture.mos for picture in pictures if picture.dataset == "kadid") == 4


def test_a_split_keeps_contents_together_and_round_trips(tables, tmp_path):
    pictures = data.read_sets(tables, [None, None], r"^(I\d+)_")
    parts = data.split_by_content(pictures, seed=1)
    for source, contents in (("kadid", 4), ("spaq", 3)):
        of = {}
        for picture in pictures:
            if picture.dataset == source:
                of.setdefault(picture.group, set()).add(parts[source, picture.name])
        assert len(of) == contents
        assert all(len(part) == 1 for part in of.values())
        assert set().union(*of.values()) == set(data.PARTS)
    data.write_split(parts, tmp_path / "split.csv")
    assert data.read_split(tmp_path / "split.csv", pictures) == parts


def test_a_part_is_written_as_tables_that_can_be_read_again(tables, tmp_path):
    pictures = data.read_sets(tables, [None, None])
    paths = data.write_tables(pictures[3:15], tmp_path, "test")
    assert [path.name for path in paths] == ["test-kadid.csv", "test-spaq.csv"]
    again = data.read_sets(paths, [tables[0].parent, tables[1].parent])
    assert [(one.path, one.mos) for one in again] == [(one.path, one.mos) for one in pictures[3:15]]


def test_splits_are_six_to_two_to_two_and_follow_the_seed():
    pictures = [data.RatedPicture(f"{i}.png", Path(f"{i}.png"), i, dataset="a") for i in range(100)]
    first, second = data.split_by_content(pictures, 0), data.split_by_content(pictures, 0)
    counts = {part: list(first.values()).count(part) for part in data.PARTS}
    assert counts == {"train": 60, "validation": 20, "test": 20}
    assert first == second
    assert first != data.split_by_content(pictures, 1)


def test_the_authors_split_is_theirs_for_kadid_and_dealt_for_other_sets():
    def images(source, names):
        return [data.RatedPicture(name, Path(name), row, dataset=source) for row, name in enumerate(names)]

    kadid = images("dmos", [f"I{content:02d}_{kind:02d}_{level:02d}.png" for content in range(1, 82)
                            for kind in range(1, 26) for level in range(1, 6)])
    other = images("spaq", [f"{row:05d}.jpg" for row in range(10)])
    parts = data.authors_split(kadid + other)
    counts = {source: [sum(part == name and key[0] == source for key, part in parts.items()) for name in data.PARTS]
              for source in ("dmos", "spaq")}
    assert counts == {"dmos": [6125, 2000, 2000], "spaq": [6, 2, 2]}
    assert {part for (_, name), part in parts.items() if name.startswith("I07")} == {"validation"}
    with pytest.raises(InputError, match="no set has its names"):
        data.authors_split(other)
    with pytest.raises(InputError, match=r"'00000\.jpg' of dmos is no name of KADID-10k"):
        data.authors_split(kadid + images("dmos", ["00000.jpg"]))


def test_a_split_that_does_not_fit_is_refused(tables, tmp_path):
    pictures = data.read_sets(tables, [None, None], r"^(I\d+)_")
    parts = data.split_by_content(pictures)
    torn = dict(parts)
    torn["kadid", "I00_0.png"] = "test" if parts["kadid", "I00_1.png"] == "train" else "train"
    data.write_split(torn, tmp_path / "torn.csv")
    with pytest.raises(ValueError, match="two parts"):
        data.read_split(tmp_path / "torn.csv", pictures)
    data.write_split(dict(list(parts.items())[1:]), tmp_path / "short.csv")
    with pytest.raises(ValueError, match="says nothing of 1 images"):
        data.read_split(tmp_path / "short.csv", pictures)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not a split"):
        data.read_split(tmp_path / "other.csv", pictures)
    (tmp_path / "latin.csv").write_bytes("set,image,part\nkadid,M\u00fcnchen.png,train\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv is not text in UTF-8; save it as UTF-8"):
        data.read_split(tmp_path / "latin.csv", pictures)


@pytest.mark.parametrize("pattern", ["(", "^nothing"])
def test_bad_content_patterns_are_refused(tables, pattern):
    with pytest.raises(ValueError, match="content pattern"):
        data.read_sets(tables, [None, None], pattern)


def test_batches_hold_one_set_each_and_repeat_every_picture():
    sources = ["a"] * 10 + ["b"] * 7
    batches = data.OneSetBatches(sources, generations=3, batch_size=4, repeat_count=2, seed=0)
    order = list(batches)
    assert len(order) == len(batches) == 3 * 4 * 3 * 2  # two full batches of a, one of b
    for start in range(0, len(order), 12):
        rows = order[start : start + 12]
        assert len({sources[row] for row in rows}) == 1
        assert [rows.count(row) for row in dict.fromkeys(rows)] == [3] * 4
        assert rows == sorted(rows, key=list(dict.fromkeys(rows)).index)  # groups are contiguous
    assert order[:12] == order[12:24]
    assert list(batches) != order  # the next epoch is another order


def test_batches_are_the_same_in_every_process():
    arguments = (["a"] * 20, 2, 4, 1, 7)
    assert list(data.OneSetBatches(*arguments)) == list(data.OneSetBatches(*arguments))


def test_an_epoch_has_its_own_order_whenever_it_is_asked_for():
    arguments = (["a"] * 20, 2, 4, 1, 7)
    batches = data.OneSetBatches(*arguments)
    epochs = [list(batches) for _ in range(3)]
    resumed = data.OneSetBatches(*arguments)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2] != epochs[1]


def test_one_picture_makes_no_batch():
    with pytest.raises(ValueError, match="nothing to compare it with"):
        data.OneSetBatches(["a"] * 5, 2, 1, 1, 0)


def test_no_full_batch_is_a_sentence():
    with pytest.raises(ValueError, match="lower the batch size"):
        data.OneSetBatches(["a"] * 3, 2, 4, 1, 0)


def test_the_dataset_gives_pictures_and_the_question(tables):
    pictures = data.read_sets(tables, [None, None])
    row = data.training_dataset(pictures, "paper", longest_side=4)[1]
    assert row["image"].size == (4, 4)
    assert row["prompt"][0]["content"][0] == {"type": "image"}
    assert row["prompt"][0]["content"][1]["text"].startswith("You are doing the image quality assessment task.")
    assert (row["key"], row["source"], row["mos"]) == (1, "kadid", 2.0)


def test_a_batch_decodes_each_picture_once(tables, monkeypatch):
    from methods import images

    decoded, decode = [], images.decode
    monkeypatch.setattr(images, "decode", lambda path: decoded.append(path) or decode(path))
    dataset = data.training_dataset(data.read_sets(tables, [None, None]), "paper", None)
    rows = dataset[[3, 3, 5, 3, 5]]
    assert len(decoded) == 2
    assert [image.getpixel((0, 0))[0] for image in rows["image"]] == [27, 27, 45, 27, 45]


def test_what_a_table_lacks_is_refused_or_said(tables):
    table = tables[0]
    table.write_text(table.read_text() + "\nlost.png,3\n")
    with pytest.raises(InputError, match=r"'lost\.png' in line 14"):
        data.read_sets([table], [None])
    said = []
    pictures = data.read_sets([table], [None], say=said.append, allow_missing=True)
    assert len(pictures) == 12
    assert "13 images named in column 'image'" in said[0]
    assert "lost.png" in said[1]


def draws():
    rng = np.random.default_rng(5)
    rows = [Draw(source, key, float(key % 5), float(score))
            for source, keys in (("a", range(4)), ("b", range(4, 7)))
            for key in keys for score in np.round(rng.uniform(1, 5, 6), 2)]
    rows[3] = Draw(rows[3].source, rows[3].key, rows[3].mos, float("nan"))
    return rows


def test_batch_rewards_are_equation_3_within_each_set():
    rows = draws()
    rewards = np.array(batch_rewards(rows))
    first = np.array([row.score for row in rows[:24]]).reshape(4, 6)
    second = np.array([row.score for row in rows[24:]]).reshape(3, 6)
    assert rewards[:24].reshape(4, 6) == pytest.approx(fidelity_reward(first, [0, 1, 2, 3]))
    assert rewards[24:].reshape(3, 6) == pytest.approx(fidelity_reward(second, [4, 0, 1]))
    assert rewards[3] == 0


def test_the_order_of_texts_does_not_matter():
    rows = draws()
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = batch_rewards([rows[index] for index in order])
    assert shuffled == pytest.approx(np.array(batch_rewards(rows))[order])


def test_a_picture_alone_in_its_set_earns_nothing():
    assert batch_rewards([Draw("a", 0, 1.0, 3.0), Draw("a", 0, 1.0, 4.0)]) == [0, 0]


def test_spread_and_format():
    assert mean_spread([Draw("a", 0, 1, 2.0), Draw("a", 0, 1, 4.0), Draw("a", 1, 1, 3.0)]) == pytest.approx(2**0.5)
    assert np.isnan(mean_spread([Draw("a", 0, 1, 2.0)]))
    turn = [{"role": "assistant", "content": "<think>x</think><answer>3</answer>"}]
    assert format_reward([turn, "3"]) == [1, 0]
    assert text_of([{"role": "assistant", "content": [{"type": "text", "text": "abc"}]}]) == "abc"


WORKER = """
import json, sys
from methods.torchvision_compat import ensure_torchvision
ensure_torchvision()
from pathlib import Path
from accelerate import PartialState
from methods.visualquality_r1.training.reward import FidelityReward
from methods.visualquality_r1.training.trainer import RL2RSettings, _arguments
arguments = _arguments(Path(sys.argv[2]), RL2RSettings())
state = PartialState()
rows = json.load(open(sys.argv[1]))
share = len(rows) // state.num_processes
mine = rows[state.process_index * share : (state.process_index + 1) * share]
rewards, within = (FidelityReward(within=share)(
    completions=[f"<think>t</think><answer>{row[3]}</answer>" for row in mine],
    source=[row[0] for row in mine], key=[row[1] for row in mine], mos=[row[2] for row in mine],
) for share in ("batch", "process"))
from methods.visualquality_r1.training import data
from methods.visualquality_r1.training.monitor import validate
from tests.unit.visualquality_r1.test_training import Reader
reader = Reader()
validation = validate(reader, data.read_sets([Path(name) for name in sys.argv[3:]], [None, None]),
                      **Reader.settings)
seen = {"validation": validation, "asked": reader.asked, "rewards": rewards, "within": within,
        "processes": arguments.world_size, "texts": arguments.generation_batch_size}
json.dump(seen, open(f"{sys.argv[1]}.{state.process_index}", "w"))
# A process that leaves while the other still listens makes gloo abort.
state.wait_for_everyone()
state.destroy_process_group()
"""


class Reader:
    """Stands for an LMM: its scores follow a picture's red, and every fifth text has none. Counts what it is asked."""

    settings: ClassVar = {"wording": "paper", "samples": 3, "max_new_tokens": 8, "longest_side": None, "batch": 2}

    def __init__(self):
        self.asked = 0

    def generate(self, prompts, n, **_):
        self.asked += len(prompts)
        reds = [prompt.images[0].getpixel((0, 0))[0] for prompt in prompts]
        return [[f"<answer>{'none' if (red + i) % 5 == 0 else 1 + (red * 7 % 31 + i) / 10}</answer>" for i in range(n)]
                for red in reds]


@pytest.mark.slow
def test_two_processes_train_reward_and_validate_as_one(tmp_path, tables):
    """Under the README's launcher, without a GPU and without being told so by the environment."""
    pytest.importorskip("trl", reason="training needs requirements-train.txt")
    ensure_torchvision()
    from methods.visualquality_r1.training.monitor import validate

    rows = [[row.source, row.key, row.mos, row.score if row.score == row.score else "none"] for row in draws()]
    table, script = tmp_path / "rows.json", tmp_path / "worker.py"
    table.write_text(json.dumps(rows))
    script.write_text(WORKER)
    root = Path(__file__).resolve().parents[3]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    # Both are on this machine: its name need not resolve, and no other interface is asked.
    environment |= {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo",
                    "HF_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
               "--main_process_port", "0", str(script), str(table), str(tmp_path), *map(str, tables)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd=root)
    assert done.returncode == 0, f"{done.stderr[:3000]} ... {done.stderr[-1000:]}"
    shares = [json.loads(Path(f"{table}.{place}").read_text()) for place in (0, 1)]
    assert [share["processes"] for share in shares] == [2, 2]
    assert [share["texts"] for share in shares] == [2 * 8 * 6] * 2
    together = [reward for share in shares for reward in share["rewards"]]
    texts = [f"<answer>{row[3]}</answer>" for row in rows]
    alone = FidelityReward()(texts, source=[row[0] for row in rows], key=[row[1] for row in rows],
                             mos=[row[2] for row in rows])
    assert together == pytest.approx(alone)
    assert alone == pytest.approx(batch_rewards(draws()))
    # As in the released code: each process compares its own pictures only.
    # Each asks about its part of the 21 pictures, and all know the result of the whole.
    assert sorted(share["asked"] for share in shares) == [10, 11]
    reader = Reader()
    whole = validate(reader, data.read_sets(tables, [None, None]), **Reader.settings)
    assert reader.asked == whole["pictures"] == 21
    assert whole["srcc"] == whole["srcc"]
    assert shares[0]["validation"] == shares[1]["validation"] == pytest.approx(whole)
    half = len(rows) // 2
    for place, share in enumerate(shares):
        assert share["within"] == pytest.approx(batch_rewards(draws()[place * half : (place + 1) * half]))
    assert shares[0]["within"] + shares[1]["within"] != pytest.approx(together)


def test_pictures_are_compared_within_a_batch_or_a_process():
    with pytest.raises(InputError, match="within a batch or a process; got 'node'"):
        FidelityReward(within="node")
