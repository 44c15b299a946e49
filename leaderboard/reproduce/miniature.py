"""Datasets in miniature: a few made images in each real layout, and stand-ins for what a small machine has not.

`mean-opinion reproduce --all --miniature` runs every table on them from start to end. The images are drawn here and
damaged in steps, so that opinions mean something; a number that comes out measures nothing.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from methods import files
from methods.kadid.distortions import distort, level_mos

COUNT = 10
"""Images per dataset: the fewest of which a tenth are references and the rest still have an interval."""

SIDE = 64


def stand_ins(args: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """The command's arguments with miniatures for data, encoders and models that were not given.

    Args:
        args: of `mean-opinion reproduce`.
        folder: where the miniatures are made; runs go below it too, if --out is not given.
    """
    from leaderboard.reproduce import manifest, models, pairs

    own_data = pairs("--data", "SLUG=DIR", args.data)
    rows = [row for name in manifest.names() for row in manifest.load(name).rows]
    lmm = models(args.lmm)
    alone = lmm.get("", ["embedded"])[0]
    # A name that only --lmm can fill; the models of an ensemble differ, or its cells say that they do not.
    trained = [row.lmm for row in rows if row.missing and row.lmm and row.lmm not in lmm]
    ensemble = lmm.get("", []) if len(lmm.get("", [])) > 1 else [alone, alone]
    words = [f"{name}={model}" for name, models in lmm.items() if name for model in models]
    words += [alone, *(f"{name}={alone}" for name in dict.fromkeys(trained))]
    words += [f"{row.lmm}={model}" for row in rows if row.ensemble and row.lmm not in lmm for model in ensemble][:2]
    options = list(args.option)
    tables = manifest.names() if args.all else [args.table]
    if any(manifest.load(name).has_option("segmenter") for name in tables):
        options[:0] = ["segmenter=felzenszwalb"]  # in front: one that was given counts
    own_encoders = pairs("--encoder", "NAME=DIR", args.encoder)
    tiny_encoders = {name: path for name, path in encoders(folder / "encoders").items() if name not in own_encoders}
    return argparse.Namespace(**{
        **vars(args), "lmm": words, "option": options, "out": args.out or str(folder / "runs"),
        "data": [*args.data, *(f"{slug}={path}" for slug, path in datasets(folder / "data").items()
                               if slug not in own_data)],
        "encoder": [*args.encoder, *(f"{name}={path}" for name, path in tiny_encoders.items())]})


def datasets(folder: Path, count: int = COUNT) -> dict[str, Path]:
    """Makes every dataset that the tables name, each in its authors' layout; slug -> its folder."""
    folders = {}
    for number, (slug, make) in enumerate(MAKERS.items()):
        root = folder / slug
        root.mkdir(parents=True, exist_ok=True)
        make(root, pictures(count, seed=number))
        folders[slug] = root
    return folders


def pictures(count: int, seed: int) -> list[tuple[Image.Image, float]]:
    """Made scenes, blurred or noised in steps, with the mean opinion in [0, 1] that KADID-10k's raters gave them."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(count):
        blocks = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3))
        scene = np.clip(np.kron(blocks, np.ones((8, 8, 1))) + rng.normal(0, 10, (SIDE, SIDE, 3)), 0, 255)
        name, level = ("GBLUR", "AWGN")[number % 2], 1 + number // 2 % 5
        # No two opinions are equal, as in the real sets.
        images.append((Image.fromarray(distort(scene.astype(np.uint8), name, level, rng=seed)),
                     level_mos(name, level) * 0.98 + 0.02 * number / count))
    return images


RatedImages = Sequence[tuple[Image.Image, float]]
Cell = str | float


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, files.csv_text([header, *rows]))


def _koniq(root: Path, made: RatedImages) -> None:
    rows = []
    for number, (image, mos) in enumerate(made):
        name = f"{10004473376 + number}.jpg"
        _save(image, root / "1024x768" / name)
        rows.append((name, 1 + 4 * mos, 0.5, ("training", "test")[number % 2]))
    _write(root / "koniq10k_distributions_sets.csv", ("image_name", "MOS", "SD", "set"), rows)


def _kadid(root: Path, made: RatedImages) -> None:
    rows = []
    for number, (image, mos) in enumerate(made):
        name, source = f"I{number // 2 + 1:02d}_01_{number % 2 + 1:02d}.png", f"I{number // 2 + 1:02d}.png"
        _save(image, root / "images" / name)
        rows.append((name, source, 1 + 4 * mos, 0.5))
    _write(root / "dmos.csv", ("dist_img", "ref_img", "dmos", "var"), rows)


def _spaq(root: Path, made: RatedImages) -> None:
    rows: list[tuple[Cell, ...]] = [("Image name", "MOS", "Brightness")]
    for number, (image, mos) in enumerate(made, start=1):
        _save(image, root / "TestImage" / f"{number:05d}.jpg")
        rows.append((f"{number:05d}.jpg", 100 * mos, 50.0))
    _workbook(root / "Annotations" / "MOS and Image attribute scores.xlsx", rows)


def _live_challenge(root: Path, made: RatedImages) -> None:
    from scipy.io import savemat

    names = np.empty((len(made), 1), dtype=object)
    for number, (image, _) in enumerate(made):
        names[number, 0] = f"{number + 3}.bmp"
        _save(image, root / "Images" / f"{number + 3}.bmp")
    data = root / "Data"
    data.mkdir()
    savemat(data / "AllImages_release.mat", {"AllImages_release": names})
    savemat(data / "AllMOS_release.mat", {"AllMOS_release": np.array([[100 * mos for _, mos in made]])})


def _agiqa(root: Path, made: RatedImages) -> None:
    rows = []
    for number, (image, mos) in enumerate(made):
        _save(image, root / "images" / f"made_normal_{number:03d}.jpg")
        rows.append((f"made_normal_{number:03d}.jpg", "a made picture", 5 * mos, 0.3, 2.5, 0.4))
    _write(root / "data.csv", ("name", "prompt", "mos_quality", "std_quality", "mos_align", "std_align"), rows)


def _siqad(root: Path, made: RatedImages) -> None:
    rows = []
    for number, (image, mos) in enumerate(made):
        _save(image, root / "DistortedImages" / f"cim{number // 7 + 1}_1_{number % 7 + 1}.bmp")
        rows.append((f"cim{number // 7 + 1}_1_{number % 7 + 1}.bmp", 100 - 100 * mos))
    _write(root / "DMOS.csv", ("image", "DMOS"), rows)


def _bid(root: Path, made: RatedImages) -> None:
    rows: list[tuple[Cell, ...]] = [("Image Number", "Average Subjective Grade")]
    for number, (image, mos) in enumerate(made, start=1):
        (root / "ImageDatabase").mkdir(exist_ok=True)
        image.save(root / "ImageDatabase" / f"DatabaseImage{number:04d}.JPG", "JPEG")
        rows.append((number, 5 * mos))
    _workbook(root / "DatabaseGrades.xlsx", rows)


def _plain(root: Path, made: RatedImages) -> None:
    """Of a dataset without a reader: images and scores.csv."""
    for number, (image, _) in enumerate(made):
        _save(image, root / f"{number:03d}.png")
    _write(root / "scores.csv", ("image", "mos"), [(f"{number:03d}.png", 100 * mos)
                                                   for number, (_, mos) in enumerate(made)])


MAKERS: dict[str, Callable[[Path, RatedImages], None]] = {
    "koniq-10k": _koniq, "kadid-10k": _kadid, "spaq": _spaq, "live-challenge": _live_challenge, "agiqa-3k": _agiqa,
    "siqad": _siqad, "bid": _bid, "liu13-deblurring": _plain, "min19-dehazing": _plain, "sriqa-bench": _plain,
    "aigciqa-20k": _plain,
}
"""Dataset slug -> what writes its miniature."""


def _workbook(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    """The smallest xlsx of one sheet; SPAQ and BID keep their scores in one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cell(value: Cell) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f"<c><v>{float(value)!r}</v></c>"

    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("[Content_Types].xml", (
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlfo'
            f'rmats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main'
            f'+xml"/><Override PartName="/xl/worksheets/s1.xml" ContentType="{kind}.worksheet+xml"/></Types>'))
        for name, target, what in (("_rels/.rels", "xl/workbook.xml", "officeDocument"),
                                   ("xl/_rels/workbook.xml.rels", "worksheets/s1.xml", "worksheet")):
            book.writestr(name, f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
                                f'Type="{relations}/{what}" Target="{target}"/></Relationships>')
        book.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets><sheet name="Sheet1" '
                                         'sheetId="1" r:id="r1"/></sheets></workbook>')
        book.writestr("xl/worksheets/s1.xml", f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>')


def encoders(folder: Path) -> dict[str, str]:
    """Table III's other vision encoders as tiny random checkpoints of their architectures; name -> folder."""
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import (
        BitImageProcessor,
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        Dinov2Config,
        Dinov2Model,
        ResNetConfig,
        ResNetModel,
        SwinConfig,
        SwinModel,
    )

    small: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    folders = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        models = {
            "ResNet-50": ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])),
            "Swin-B": SwinModel(SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2],
                                           window_size=4)),
            "DINOv2": Dinov2Model(Dinov2Config(image_size=32, patch_size=8, **small)),
            "CLIP": CLIPModel(CLIPConfig(
                projection_dim=10,
                text_config={**small, "intermediate_size": 16, "vocab_size": 64, "projection_dim": 10},
                vision_config={**small, "intermediate_size": 16, "projection_dim": 10, "image_size": 32,
                               "patch_size": 8})),
        }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        processor = CLIPImageProcessor if name == "CLIP" else BitImageProcessor
        processor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder / name)
        folders[name] = str(folder / name)
    return folders
