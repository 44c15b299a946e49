"""The command `mean-opinion`: one runner, one meaning of a flag, one way to fail."""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mean_opinion import cli
from methods.cli import running
from methods.cli.running import Command, guarded, parser_of, run
from methods.errors import InputError
from methods.lmm.errors import ModelUnavailable


def every(commands: Mapping[str, Command], program: str = cli.PROGRAM) -> Iterator[tuple[str, Command]]:
    for name, command in commands.items():
        if command.commands:
            yield from every(command.commands, f"{program} {name}")
        else:
            yield f"{program} {name}", command


EVERY = dict(every(cli.COMMANDS))
REPOSITORY = Path(__file__).parents[3]


def flags_of(command: Command) -> dict[str, argparse.Action]:
    parser, _ = parser_of("x", command)
    return {flag: action for action in parser._actions for flag in action.option_strings}


def test_every_command_of_the_project_is_there():
    wanted = ("score list evaluate calibrate compare inspect reproduce table export cite add check refset leaf train "
              "serve")
    assert list(cli.COMMANDS) == wanted.split()
    assert {"label", "train", "calibrate", "predict", "budget"} == set(cli.COMMANDS["leaf"].commands)
    assert {"build", "info"} <= set(cli.COMMANDS["refset"].commands)


@pytest.mark.parametrize("program", EVERY)
def test_every_command_explains_itself(program: str, capsys):
    words = [*program.split()[1:], "--help"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: {program} ")
    assert EVERY[program].summary.lower() in " ".join(printed.lower().split())


def test_a_flag_means_the_same_wherever_it_is():
    """One destination, one kind of value and one number of values for each flag, over all commands."""
    meanings: dict[str, set[tuple]] = {}
    for program, command in EVERY.items():
        for flag, action in flags_of(command).items():
            if flag in ("--images", "--name-column", "--mos-column", "--scale", "--lower-is-better", "--allow-missing",
                        "--dataset", "--root", "--split", "--seed", "--option", "--method", "--pairs", "--alpha",
                        "--board"):
                if program == "mean-opinion train" and flag in ("--images", "--split"):
                    continue  # several tables are trained on at once, and the split is a file that is written
                meanings.setdefault(flag, set()).add((action.dest, action.nargs, action.metavar))
    assert all(len(kinds) == 1 for kinds in meanings.values()), meanings
    datasets = {program for program, command in EVERY.items()
                if (action := flags_of(command).get("--data")) and action.help != argparse.SUPPRESS}
    assert datasets == {"mean-opinion reproduce", "mean-opinion refset experiment", "mean-opinion train"}
    tables = [program for program, command in EVERY.items() if "--scores" in flags_of(command)]
    assert {"mean-opinion evaluate", "mean-opinion refset build", "mean-opinion leaf train", "mean-opinion train",
            "mean-opinion leaf calibrate", "mean-opinion leaf budget"} == set(tables)


def test_every_number_has_bounds():
    """A number that cannot be meant is refused by its flag, before anything is loaded."""
    free = {"--scale": "opinions may lie anywhere", "--max-steps": "-1 is no limit", "--port": "the system says",
            "--budget": "refused with its sentence", "--only": "refused with the folds that there are"}
    unbound = {flag for command in EVERY.values() for flag, action in flags_of(command).items()
               if action.type in (int, float)}
    assert unbound - {"--range"} == set(free)
    seeds = [action for command in EVERY.values() for flag, action in flags_of(command).items() if flag == "--seed"]
    assert len(seeds) >= 5
    for action in seeds:
        with pytest.raises(argparse.ArgumentTypeError, match="must be at least 0, got -1"):
            action.type("-1")


@pytest.mark.parametrize(("words", "said"), [
    (["scor"], "There is no command 'scor'; did you mean 'score'?"),
    (["leaf", "calibrat"], "There is no command 'calibrat'; did you mean 'calibrate'?"),
    (["check", "--bord", "x"], "There is no flag --bord; did you mean '--board'?"),
    (["score", "x", "--method", "leef"], "There is no method 'leef'; did you mean 'leaf'?"),
    (["score", "x", "--method", "leaf", "--lmm", "embedded"], "brings its own network; leave lmm out."),
    (["score", "x", "--method", "leaf", "--device", "cpu"], "brings its own network; leave --device out."),
    (["score", "x", "--method", "q-bench", "--lmm", "embedded?dtype=float32", "--dtype", "float32"],
     "dtype is given twice"),
    (["score", "x", "--method", "q-bench", "--max-pixels", "0"], "must be at least 1"),
    (["evaluate", "--method", "leaf", "--out", "x"], "Name the images: --images DIR --scores TABLE"),
    (["table", "--board", "nowhere"], "There is no"),
    (["table", "--data", "nowhere"], "There is no"),
    (["check", "--board", "nowhere"], "There is no folder nowhere"),
    (["reproduce", "q-debias-table-1", "--data", "koniq-10k=nowhere"], "--data koniq-10k=nowhere: there is no such"),
    (["serve", "--port", "99999"], "--port is a number from 1 to 65535; got 99999."),
    (["--print-completion", "fish"], "There is no completion for 'fish'"),
])
def test_what_cannot_be_done_is_exit_status_2_and_one_sentence(words, said, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize(("module", "words", "said"), [
    ("methods", ["score", "nowhere.jpg"], "--method"),
    ("leaderboard", ["table", "--data", "nowhere"], "There is no"),
    ("methods.iqarag", ["info", "nowhere"], "nowhere"),
    ("methods.leaf", ["label", "--images", "nowhere", "--out", "x"], "nowhere"),
    ("methods.visualquality_r1.train", ["--scores", "nowhere.csv", "--out", "x"], "nowhere.csv"),
    ("methods.embedded.lmm", ["--images", "x", "--out", "x"], "Name rated photos to learn from"),
    ("methods.embedded.lmm.evaluate", ["--images", "x", "--out", "x"], "Name rated photos to learn from"),
    ("methods.embedded.lmm.card", ["nowhere.json", "--card", __file__], "There is no nowhere.json"),
    ("methods.embedded.student", ["--weights", "x", "--population", "x", "--images", "nowhere", "--scores",
                                  "nowhere.csv", "--cache", "x"], "nowhere.csv"),
    ("methods.embedded.reference_set", ["--images", "nowhere", "--scores", "nowhere.csv"], "nowhere.csv"),
    ("leaderboard.runs.shipped", ["--scores", "nowhere.csv"], "the following arguments are required"),
])
def test_every_door_ends_in_one_sentence(module, words, said, monkeypatch, capsys):
    """What can be run by `python -m`, also what only makers run."""
    monkeypatch.setattr(sys, "argv", [module, *words])
    warnings.simplefilter("ignore", RuntimeWarning)  # that the module has been imported by other tests
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert said in error.splitlines()[-1]
    assert error.splitlines()[-1].startswith("python -m ")
    assert "Traceback" not in error


def test_no_door_is_left_out():
    """Modules that can be run are those above and the command itself."""
    modules = (path for folder in ("methods", "leaderboard", "ui", "mean_opinion")
               for path in (REPOSITORY / folder).rglob("*.py"))
    doors = {path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".").removesuffix(".__main__")
             for path in modules if '\nif __name__ == "__main__":' in path.read_text("utf-8")}
    (mark,) = test_every_door_ends_in_one_sentence.pytestmark
    assert doors - {"mean_opinion"} == {module for module, _, _ in mark.args[1]}


def test_the_settings_of_a_model_become_part_of_its_name(monkeypatch):
    from methods.cli.arguments import add_lmm, lmm_name
    from methods.llm_iqa.method import LLMIQA

    def name(*words):
        parser = argparse.ArgumentParser()
        add_lmm(parser)
        return lmm_name(parser.parse_args(words), LLMIQA)

    assert name() is None
    assert name("--lmm", "embedded") == "embedded"
    assert name("--lmm", "a/b@main, c/d", "--max-pixels", "9", "--dtype", "float16") == (
        "a/b@main?max_pixels=9&dtype=float16,c/d?max_pixels=9&dtype=float16")
    assert name("--lmm", "server:http://h/v1#m", "--max-pixels", "9") == "server:http://h/v1?max_pixels=9#m"
    monkeypatch.setenv("MEAN_OPINION_LMM", "embedded")
    assert name("--device-map", "auto") == "embedded?device_map=auto"


def test_nothing_to_do_prints_the_commands_and_is_a_usage_error(capsys):
    assert cli.main([]) == 2
    assert "calibrat" not in capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert "reproduce" in capsys.readouterr().out


def fails_with(monkeypatch, error: BaseException) -> int:
    def work(arguments: argparse.Namespace) -> int:
        raise error

    module = SimpleNamespace(add_arguments=lambda parser: None, run=work)
    monkeypatch.setattr(running.importlib, "import_module", lambda name: module)
    return run("program", {"do": Command("somewhere", "does it")}, ["do"])


def test_a_sentence_for_a_user_is_one_line_and_nothing_else(monkeypatch, capsys):
    assert fails_with(monkeypatch, InputError("The table\nhas no rows; add some.")) == 2
    assert capsys.readouterr().err == "program do: The table has no rows; add some.\n"


def test_a_lost_model_leaves_work_to_go_on_with(monkeypatch, capsys):
    assert fails_with(monkeypatch, ModelUnavailable("The server is gone; start it again.")) == 1
    assert capsys.readouterr().err == "program do: The server is gone; start it again.\n"


def test_ctrl_c_is_130(monkeypatch, capsys):
    assert fails_with(monkeypatch, KeyboardInterrupt()) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ValueError, match="could not be broadcast"):
        guarded("program", lambda: np.add(np.zeros(2), np.zeros(3)))
    with pytest.raises(RuntimeError, match="inner"):
        guarded("program", lambda: (_ for _ in ()).throw(RuntimeError("inner")))


def test_a_package_of_an_extra_is_named_with_the_extra(capsys):
    def work(name: str) -> int:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    assert guarded("program", lambda: work("plotly.graph_objects")) == 2
    said = "This needs plotly.graph_objects; install it with: pip install 'mean-opinion[ui]'."
    assert capsys.readouterr().err == f"program: {said}\n"
    with pytest.raises(ModuleNotFoundError):
        guarded("program", lambda: work("nothing"))


def test_the_file_system_speaks_without_numbers(tmp_path, capsys):
    for work, said in (((tmp_path / "none").read_bytes, f"There is no {tmp_path / 'none'}; check the path."),
                       (tmp_path.read_bytes, f"{tmp_path} is a folder; name a file."),
                       ((tmp_path / "x").rmdir, f"There is no {tmp_path / 'x'}; check the path.")):
        assert guarded("program", work) == 2
        assert capsys.readouterr().err == f"program: {said}\n"
    with pytest.raises(OSError, match="the cable"):
        guarded("program", lambda: (_ for _ in ()).throw(OSError("the cable")))


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_shells_complete_the_commands_and_their_flags(shell, capsys):
    assert cli.main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert "calibrate" in script
    assert "mos-column" in script


@pytest.mark.parametrize("words", [["--version"], ["table", "--help"], ["evaluate", "--help"],
                                   ["leaf", "train", "--help"]])
def test_help_and_tables_wait_for_no_heavy_library(words):
    code = ("import sys; from mean_opinion.cli import main; main(sys.argv[1:]); "
            "print([name for name in ('torch', 'transformers', 'gradio', 'ray') if name in sys.modules], "
            "file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
