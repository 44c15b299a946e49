"""Every command and snippet that the documents print runs as printed, in a copy of the project with tiny inputs.

What cannot run here is listed with the reason; a block that is neither run nor listed fails, as does a line of the
lists that no document prints any more. Commands that are listed, or stand within a sentence, must still be known with
all their flags.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from leaderboard import revisions
from leaderboard.reproduce import miniature
from leaderboard.schema import DATASETS
from mean_opinion.cli import whole_parser
from methods.base import METHODS, method_class
from tests import tiny_lmm
from tests.package.test_wheel import REPOSITORY
from tests.unit.leaderboard.conftest import make_run

COPIED = ("assets", "leaderboard", "mean_opinion", "methods", "ui")
DOCUMENTS = tuple(path.relative_to(REPOSITORY).as_posix() for pattern in (
    "*.md", "docs/*.md", "leaderboard/*.md", "methods/*/README.md", "assets/*/README.md")
    for path in sorted(REPOSITORY.glob(pattern)))

COUNT = 20
"""Rated photos: the fewest that a report of `leaf train` is made from."""

DATASET = "my-photos"
NAMES = tuple(f"{number:03}.webp" for number in range(COUNT))
INDEX = "installs from a package index"
SERVES = "serves until it is stopped; the tests of the page and of ServerLMM start servers of their own"
HUB = "needs weights of the Hub"
HOURS = "trains for hours, or needs what such a training leaves"
CLUSTER = "needs several machines, or GPUs"
NOT_RUN = {
    "make demo": SERVES,
    "python -m tests.soak": "starts pages of its own for minutes; tests/soak/test_soak.py runs a short one",
    "make soak": "takes ten minutes; tests/soak/test_soak.py runs a short one",
    "make test": "runs this test",
    "pip install": INDEX,
    "from gradio_client import": "needs the page; tests/ui/test_api_page.py runs it against one",
    "vllm serve": SERVES,
    "mean-opinion evaluate --method iqarag --lmm 'server:": SERVES,
    "mean-opinion evaluate ... --ray": "is half a command; tests/unit/leaderboard/test_evaluate_ray.py runs whole ones",
    "ray ": CLUSTER,
    "mean-opinion calibrate runs/": "needs 50 rated images; tests/unit/leaderboard/test_calibrate.py runs it",
    "mean-opinion reproduce --all": "takes minutes; tests/unit/leaderboard/test_miniature.py runs it",
    "mean-opinion refset experiment encoders": HUB,
    "mean-opinion leaf budget": HOURS,
    "mean-opinion train": HOURS,
    "python -m methods.embedded": HOURS,
    "python benchmarks/visualquality_r1_base.py": HOURS,
    "scripts/measure_embedded.sh": HOURS,
}
"""How a command or snippet begins -> why it is not run here."""

TEXTS = {
    '[project.entry-points."mean_opinion.methods"]': "a package's own settings; tests/package/test_other_packages.py",
    "photo": "a drawing",
    "mean_opinion.calls:": "a line of the page's log",
    "app.py    mean_opinion/": "a drawing",
    "scores.csv: comma-separated, UTF-8; 399 images": "what a command prints",
}
"""How a block begins that is no command -> what it is."""

STAND_INS = {
    " --lmm qwen3-vl-8b": " --lmm tiny",
    " --lmm Qwen/Qwen3-VL-8B-Instruct": " --lmm tiny",
    "=llava-onevision-7b": "=tiny",
    " --backbone facebook/convnext-base-224-22k": " --backbone embedded",
    "/data/": "data/",
    " --root DIR": " --root data/koniq",
    "koniq-10k=DIR": "koniq-10k=data/koniq",
    "spaq=DIR": "spaq=data/spaq",
    "live-challenge=DIR": "live-challenge=data/live-challenge",
    " --data DIR": " --data data/koniq",
    " --data ... --data ...": " --data kadid-10k=data/kadid-10k --data koniq-10k=data/koniq"
                               " --data live-challenge=data/live-challenge --data spaq=data/spaq",
    " --data ...": " --data spaq=data/spaq",
}
"""What is printed -> what stands in for it: weights of the Hub, and folders of whole datasets. In this order."""


@dataclass(frozen=True)
class Printed:
    """A command of a shell block, or a whole Python block, and the line of its document where the block begins."""

    line: int
    code: str
    python: bool = False

    @property
    def reason(self) -> str:
        return next((reason for start, reason in NOT_RUN.items() if self.words.startswith(start)), "")

    @property
    def words(self) -> str:
        return self.code.removeprefix(".venv/bin/")


@cache
def printed(document: str) -> list[Printed]:
    """Everything in the document's code blocks that can be run, in order."""
    printouts = []
    for token in MarkdownIt().parse((REPOSITORY / document).read_text("utf-8")):
        if token.type not in ("fence", "code_block") or token.content.lstrip().startswith(tuple(TEXTS)):
            continue
        line = token.map[0] + 1
        if token.info == "python" or token.content.startswith(("import ", "from ")):
            printouts.append(Printed(line, token.content, python=True))
        else:
            whole = re.sub(r"\\\n\s*", "", token.content)
            printouts += [Printed(line, one.strip()) for one in whole.splitlines() if one.strip()]
    return printouts


@cache
def within_sentences(document: str) -> list[str]:
    """Code between backquotes."""
    inline = [token for token in MarkdownIt().enable("table").parse((REPOSITORY / document).read_text("utf-8"))
              if token.type == "inline"]
    return [child.content for token in inline for child in token.children if child.type == "code_inline"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project's packages, with a tiny model, datasets in miniature and a folder a fold."""
    root = tmp_path_factory.mktemp("project") / DATASET
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (root / "leaderboard" / "data" / "datasets.csv").open("a", newline="", encoding="utf-8") as file:
        facts = {"slug": DATASET, "name": "Photos", "short": "Photos", "kind": "authentic", "n_images": str(COUNT),
                 "mos_range": "0-100"}
        csv.DictWriter(file, DATASETS, lineterminator="\n").writerow({name: facts.get(name, "") for name in DATASETS})
    revisions.record(root / "leaderboard" / "data", "2026-01-01", "photos of one's own")
    shutil.copytree(root / "leaderboard", root / "kept")
    miniature.datasets(root / "data")
    (root / "data" / "koniq-10k").rename(root / "data" / "koniq")
    tiny_lmm.build("fast_vlm", root / "tiny", image_budget=8)
    for fold in ("fold-0", "fold-1"):
        shutil.copytree(root / "tiny", root / "fold-models" / fold)
    (root / "fold-models" / "folds.csv").write_text(
        "image,fold\n" + "".join(f"{name},{number % 2}\n" for number, name in enumerate(NAMES)))
    return root


@pytest.fixture(scope="module")
def runner(project):
    """Runs a command or a snippet in the copy; gives its exit status."""
    program = [sys.executable, str(REPOSITORY / "tests" / "package" / "run_printed.py")]
    with subprocess.Popen(program, cwd=project, env=environment(project), text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        def run(command: str, log: Path, python: bool) -> int:
            process.stdin.write(json.dumps({"command": command, "log": str(log), "python": python}) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def environment(project: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEAN_OPINION")}
    return kept | {"PYTHONPATH": str(project), "MEAN_OPINION_CACHE": str(project / "cache"),
                   "MEAN_OPINION_LMM": str(project / "tiny"), "HF_HUB_OFFLINE": "1"}


def lay_out(root: Path) -> None:
    """Inputs under the names that the documents print, and the leaderboard's data as it was."""
    for folder in ("photos", "DIR", "runs", "RUN", "RESULTS", "SET", "leaderboard"):
        shutil.rmtree(root / folder, ignore_errors=True)
    shutil.copytree(root / "kept", root / "leaderboard")
    for folder in ("photos", "DIR"):
        (root / folder).mkdir()
        for name, (image, _) in zip(NAMES, miniature.pictures(COUNT, seed=1)):
            image.save(root / folder / name, lossless=True)
    shutil.copy(root / "assets" / "examples" / "coffee.jpg", root / "photo.jpg")
    shutil.copy(root / "photo.jpg", root / "PHOTO")
    ratings = "image,mos\n" + "".join(f"{name},{10 + 3 * number}\n" for number, name in enumerate(NAMES))
    for name in ("scores.csv", "ratings.csv", "CSV", "koniq.csv"):
        (root / name).write_text(ratings)
    for name in ("runs/q-debias-photos", "runs/embedded/q-debias", "runs/embedded/llm-iqa",
                 "runs/embedded/q-bench-two-words", "RUN"):
        make_run(root / name, n=COUNT, failed=0, dataset=DATASET, split="all")
    # `compare` takes runs on the same opinions.
    other = root / "runs" / "q-debias-photos" / "predictions.csv"
    rows = [f"{name},{10 + 3 * number},{number / COUNT},0.1," for number, name in enumerate(NAMES)]
    other.write_text("\n".join(["image,mos,score,seconds,error", *rows]) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("document", [one for one in DOCUMENTS if any(not it.reason for it in printed(one))])
def test_what_a_document_prints_runs(document, project, runner, tmp_path):
    lay_out(project)
    for one in printed(document):
        if one.reason:
            continue
        command = one.code
        for text, other in ({} if one.python else STAND_INS).items():
            command = command.replace(text, other)
        status = runner(command, tmp_path / "log", one.python)
        assert status == 0, f"{command}\n{(tmp_path / 'log').read_text()[-2000:]}"


def test_the_lists_hold_nothing_that_is_not_printed_any_more():
    everything = [one for document in DOCUMENTS for one in printed(document)]
    assert len(everything) > 40
    unused = [start for start in NOT_RUN if not any(one.words.startswith(start) for one in everything)]
    texts = "\n".join((REPOSITORY / document).read_text("utf-8") for document in DOCUMENTS)
    unused += [start for start in TEXTS if start not in texts]
    unused += [text for text in STAND_INS if not any(text in one.code for one in everything if not one.reason)]
    assert unused == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_known_with_its_flags(document):
    parser = whole_parser()
    commands = [one.words for one in printed(document) if one.words.startswith("mean-opinion ")]
    commands += [code.removeprefix(".venv/bin/") for code in within_sentences(document)
                 if re.match(r"(\.venv/bin/)?mean-opinion ", code)]
    for command in commands:
        words = [word.partition("=")[0] if word.startswith("--") else word
                 for word in shlex.split(command, comments=True)[1:]]
        place = parser
        while words and (below := _commands(place)) is not None:
            if words[0].startswith("-") or words[0].isupper():  # `mean-opinion COMMAND --help`
                break
            assert words[0] in below, f"{document}: {command}"
            place = below[words.pop(0)]
        flags = {flag for action in place._actions for flag in action.option_strings}
        if "--method" in words:  # the method's own options are flags of `score`
            name = words[words.index("--method") + 1]
            flags |= {f"--{option.replace('_', '-')}" for option in vars(method_class(name).options)
                      } if name in METHODS else set()
        unknown = [word for word in words if word.startswith("--") and word not in flags]
        assert place.prog.endswith("COMMAND") or unknown in ([], ["--print-completion"]), f"{document}: {command}"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser] | None:
    return next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_script_and_target_that_is_to_be_run_exists(document):
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    for code in [*within_sentences(document), *(one.words for one in printed(document))]:
        if match := re.match(r"(?:\S*/)?python -m ((?:methods|leaderboard|ui|tests|mean_opinion)[.\w]*)", code):
            path = REPOSITORY / match[1].replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{document}: {code}"
        if match := re.match(r"(?:python )?((?:benchmarks|scripts)/\S+\.(?:py|sh))", code):
            assert (REPOSITORY / match[1]).is_file(), f"{document}: {code}"
        if match := re.search(r"(?:^| )make ([a-z-]+)", code):
            assert re.search(rf"^{match[1]}:", makefile, re.MULTILINE), f"{document}: {code}"
