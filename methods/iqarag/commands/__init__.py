"""What the commands on reference sets share: the encoder that makes or searches features."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from methods.cli.arguments import add_lmm, lmm_name
from methods.iqarag.encoders import CATALOGUE, OWN, STUDENT

if TYPE_CHECKING:
    from methods.iqarag.encoders import Encoder
    from methods.lmm.base import LMM


def add_encoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", default=OWN, metavar="NAME",
                        help=f"{OWN} (the LMM's own), {STUDENT} (the embedded student's), {', '.join(CATALOGUE)}, a "
                             "Hub id or a folder")
    add_lmm(parser)


def chosen_lmm(arguments: argparse.Namespace) -> LMM:
    from methods.iqarag.method import IQARAG
    from methods.lmm.loading import default_lmm, load_lmm

    return load_lmm(lmm_name(arguments, IQARAG) or default_lmm(IQARAG.name))


def chosen_encoder(arguments: argparse.Namespace) -> Encoder:
    from methods.iqarag.encoders import load_encoder

    return load_encoder(arguments.encoder, chosen_lmm(arguments) if arguments.encoder == OWN else None)
