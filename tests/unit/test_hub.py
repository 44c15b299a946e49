"""A checkpoint that cannot be loaded is one sentence; a defect of numpy or torch met on the way keeps its traceback."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from methods.errors import InputError, UserError
from methods.hub import loading
from methods.lmm.base import LMMError


def sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Errno" not in text
    assert text.endswith("; use the other.") or text.endswith("or use the other.")
    return text


def load(make, source: str = "nobody/model") -> None:
    with loading(source, LMMError, "use the other"):
        make()


def config(folder: Path, **fields: object) -> None:
    (folder / "config.json").write_text(json.dumps(fields))


def read_config(folder: Path) -> None:
    from transformers import AutoConfig

    AutoConfig.from_pretrained(str(folder), trust_remote_code=False)


@pytest.mark.parametrize("fields", [
    {"model_type": "no-such-architecture"}, {}, {"model_type": "llava", "vision_config": {"model_type": "nothing"}},
    {"model_type": "qwen2", "hidden_size": "wide"},
])
def test_a_config_that_transformers_refuses_is_one_sentence(tmp_path: Path, fields: dict):
    config(tmp_path, **fields)
    with pytest.raises(LMMError, match="cannot be loaded as a checkpoint") as error:
        load(lambda: read_config(tmp_path), str(tmp_path))
    assert sentence(error).startswith(str(tmp_path))


def test_a_config_that_is_no_json_is_one_sentence(tmp_path: Path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LMMError, match="not a valid JSON file") as error:
        load(lambda: read_config(tmp_path), str(tmp_path))
    sentence(error)


def test_code_of_the_checkpoint_is_never_run_and_the_sentence_says_so(tmp_path: Path):
    config(tmp_path, model_type="own", auto_map={"AutoConfig": "own.Own"})
    said = r"needs code from its repository, which is never run here; serve it\.$"
    with pytest.raises(LMMError, match=said), loading(str(tmp_path), LMMError, "use the other", serve="serve it"):
        read_config(tmp_path)


def test_a_folder_that_is_not_there_is_called_a_folder(tmp_path: Path):
    with pytest.raises(LMMError, match=r"There is no folder .*nowhere; check the path") as error:
        load(lambda: read_config(tmp_path / "nowhere"), str(tmp_path / "nowhere"))
    sentence(error)


def test_damaged_weights_are_one_sentence(tmp_path: Path):
    from safetensors.torch import load_file

    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(LMMError, match="cannot be loaded as a checkpoint") as error:
        load(lambda: load_file(tmp_path / "model.safetensors"), str(tmp_path))
    sentence(error)


def test_a_full_disk_is_said_without_its_number():
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/model")

    with pytest.raises(LMMError, match=r"\(No space left on device: /cache/model\)") as error:
        load(full)
    sentence(error)


def test_a_package_that_is_missing_is_one_sentence():
    def lacking() -> None:
        raise ImportError("This needs the package num2words.\nInstall it.")

    with pytest.raises(LMMError, match=r"\(This needs the package num2words\)") as error:
        load(lacking)
    sentence(error)


def test_a_sentence_of_ours_passes_as_it_is():
    def refused() -> None:
        raise InputError("This is said already.")

    with pytest.raises(InputError, match=r"^This is said already\.$"):
        load(refused)


def numpy_defect() -> None:
    np.zeros((2, 3)) @ np.zeros((2, 3))


def torch_defect() -> None:
    import torch

    torch.zeros(2, 3) @ torch.zeros(2, 3)


def our_defect() -> None:
    raise ValueError("two shapes differ")


@pytest.mark.parametrize(("make", "kind"), [(numpy_defect, ValueError), (torch_defect, RuntimeError),
                                            (our_defect, ValueError)])
def test_a_defect_is_no_sentence(make, kind: type[Exception]):
    with pytest.raises(kind) as error:
        load(make)
    assert not isinstance(error.value, UserError)
