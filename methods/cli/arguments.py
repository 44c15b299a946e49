"""Arguments that several commands share: the same flag means the same thing everywhere."""

from __future__ import annotations

import argparse
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.errors import InputError, suggestion

if TYPE_CHECKING:
    from methods.base import Method
    from methods.data import RatedPictures


def at_least(lowest: float, kind: type = int) -> Callable[[str], object]:
    """An argparse type: finite numbers of that kind, none below `lowest`."""
    def number(text: str) -> object:
        value = kind(text)
        if not lowest <= value < math.inf:
            raise argparse.ArgumentTypeError(f"must be at least {lowest:g}, got {text}")
        return value

    number.__name__ = kind.__name__
    return number


def add_method(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--method", required=True, metavar="NAME", help="see `mean-opinion list`")


def add_lmm(parser: argparse._ActionsContainer) -> None:
    """The model and how it is loaded; `lmm_name` reads all of it."""
    parser.add_argument("--lmm", metavar="NAME", help="embedded, a catalogue name, a Hub id (NAME@REVISION for a "
                                                      "branch, tag or commit), a folder, or server:URL#model; by "
                                                      "default what suits this machine")
    parser.add_argument("--max-pixels", type=at_least(1), metavar="N",
                        help="the model is shown at most so many pixels of an image; by default "
                             "MEAN_OPINION_MAX_PIXELS, else about a million, as its family suits")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ...; by default the first CUDA device, "
                                                         "else the CPU")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"),
                        help="of the weights; by default bfloat16 on CUDA, float32 on the CPU and for the embedded "
                             "model")
    parser.add_argument("--attn-implementation", metavar="NAME",
                        help="eager, sdpa, flash_attention_2 and the like; by default what transformers chooses")
    parser.add_argument("--device-map", metavar="NAME",
                        help="auto spreads a model that is too large for one device over all there are")


def add_student(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--student", metavar="NAME", help="LEAF's network: embedded (the default), embedded-biq2021, "
                                                          "which has seen nothing of LIVE Challenge, or a folder")


def chosen_student(arguments: argparse.Namespace, kind: type[Method]) -> dict[str, Any]:
    """The keyword of `load_method` for `--student`, {} where it was left out.

    Raises:
        InputError: the method has no student.
    """
    if arguments.student is None:
        return {}
    if "student" not in inspect.signature(kind).parameters:
        raise InputError(f"{kind.title} has no student; leave --student out.")
    return {"student": arguments.student}


LMM_SETTINGS = ("max_pixels", "device", "dtype", "attn_implementation", "device_map")


def lmm_name(arguments: argparse.Namespace, kind: type[Method], default: str | None = None) -> str | None:
    """The model of `add_lmm` by a name that carries its settings, as `methods.lmm.names`; None for the default.

    Args:
        default: what carries the settings where no model is named; the method's default for None.

    Raises:
        InputError: the method brings its own network, or a setting is given twice.
    """
    from methods.lmm.loading import default_lmm
    from methods.lmm.names import name_with

    settings = {name: getattr(arguments, name) for name in LMM_SETTINGS if getattr(arguments, name) is not None}
    name: str | None = arguments.lmm
    if not settings:
        return name
    if not kind.needs_lmm:
        raise InputError(f"{kind.title} brings its own network; leave --{min(settings).replace('_', '-')} out.")
    # An ensemble is named with commas.
    named = name or default or default_lmm(kind.name, kind.own_lmm)
    return ",".join(name_with(one.strip(), settings) for one in named.split(","))


def add_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                        help="an option of the method, any number of times")


def option_values(kind: type[Method], pairs: Sequence[str], seed: int | None = None) -> dict[str, object]:
    """`NAME=VALUE` words as options of a method, with the types that it declares.

    Args:
        kind: the method's class.
        pairs: as given with --option.
        seed: short for the option of that name.

    Raises:
        InputError: an unknown option, or a value outside its bounds.
    """
    from methods.cli.options import add_flags, options_from

    parser = argparse.ArgumentParser("--option", add_help=False, allow_abbrev=False, exit_on_error=False)
    add_flags(parser, kind)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    names = sorted(flag[2:].replace("-", "_") for flag in flags if not flag.startswith("--no-"))
    words = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        flag = "--" + name.strip().replace("_", "-")
        if not equals or not name:
            raise InputError(f"--option takes NAME=VALUE; got {pair!r}.")
        if flag not in flags or flag.startswith("--no-"):
            raise InputError(f"{kind.title} has no option {name!r}{suggestion(name, names)}")
        truth = "--no-" + flag[2:] in flags
        if truth and value.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise InputError(f"Option {name} is true or false; got {value!r}.")
        if truth:
            words.append(flag if value.lower() in ("true", "yes", "1") else "--no-" + flag[2:])
        else:
            words.append(f"{flag}={value}")
    try:
        options = options_from(parser.parse_args(words), kind)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}.") from None
    if seed is not None:
        options["seed"] = seed
    kind.options.updated(**options)
    return options


def add_rated(parser: argparse.ArgumentParser, *, dataset: bool = True, images: bool = False, scores: bool = False
              ) -> None:
    """Where rated images come from: a folder and a table, or (with `dataset`) a dataset as it is distributed.

    Args:
        images, scores: whether these two must be given.
    """
    either = "either --images and --scores, or --dataset and --root" if dataset else None
    group = parser.add_argument_group("images and opinions", either)
    group.add_argument("--images", type=Path, metavar="DIR", required=images,
                       help="folder of images, searched with its subfolders")
    group.add_argument("--scores", "--mos", type=Path, metavar="TABLE", required=scores,
                       help="CSV or spreadsheet with a row per image: image,mos[,std]")
    group.add_argument("--name-column", "--image-column", metavar="NAME", help="column of the image names, where "
                                                                               "more than one could be meant")
    group.add_argument("--mos-column", "--score-column", metavar="NAME", help="column of the opinions, likewise")
    group.add_argument("--scale", "--range", type=float, nargs=2, metavar=("LOW", "HIGH"),
                       help="of the opinions; else the usual scale that they fit, which is said")
    group.add_argument("--lower-is-better", action=argparse.BooleanOptionalAction, default=None,
                       help="the table holds DMOS, where a low number is a good image")
    group.add_argument("--allow-missing", action="store_true",
                       help="go on without the images that the table names and the folder does not hold")
    if dataset:
        group.add_argument("--dataset", metavar="SLUG", help="with --root, a dataset as it is distributed; with "
                                                             "--images, the name under which results are recorded")
        group.add_argument("--root", type=Path, metavar="DIR", help="folder that the dataset was unpacked to")
        group.add_argument("--split", default="all", metavar="NAME", help="part of the dataset (all)")


def read_rated(arguments: argparse.Namespace) -> RatedPictures:
    """The rated images that the arguments of `add_rated` name; what was understood of them is said on stderr.

    Raises:
        InputError: neither or both kinds of source are named, or it cannot be used.
    """
    from methods.data import read_dataset, read_table

    root, dataset = (getattr(arguments, name, None) for name in ("root", "dataset"))
    split = getattr(arguments, "split", "all")
    if root is not None:
        if arguments.images or arguments.scores or not dataset:
            raise InputError("A dataset as distributed is named by --dataset and --root alone; leave --images and "
                             "--scores out.")
        rated = read_dataset(dataset, root, split, allow_missing=arguments.allow_missing)
    elif arguments.images is None or arguments.scores is None:
        raise InputError("Name the images: --images DIR --scores TABLE, or --dataset SLUG --root DIR.")
    else:
        rated = read_table(arguments.scores, arguments.images, dataset=dataset, split=split, allow_constant=True,
                           **table_options(arguments))
    tell(rated)
    return rated


def tell(rated: RatedPictures) -> None:
    """Says on stderr what was understood of a table of opinions."""
    for note in rated.notes:
        print(note, file=sys.stderr)


def table_options(arguments: argparse.Namespace) -> dict[str, object]:
    """How the table of `add_rated` is to be read, as `methods.data.read_table` takes it."""
    return {"name_column": arguments.name_column, "mos_column": arguments.mos_column,
            "scale": tuple(arguments.scale) if arguments.scale else None,
            "lower_is_better": arguments.lower_is_better, "allow_missing": arguments.allow_missing}
