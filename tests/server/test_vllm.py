"""ServerLMM against a real vLLM on the CPU with a tiny checkpoint, held to TransformersLMM on the same weights.

`make test-server` builds vLLM's environment and runs these; without it they are skipped.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image

from leaderboard.__main__ import main
from leaderboard.runs.evaluation import load_run
from methods.lmm.base import LMMError
from methods.lmm.loading import unload
from methods.lmm.prompt import Prompt, Turn
from methods.lmm.server.server_lmm import ServerLMM
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm
from tests.server.proxy import FaultProxy
from tests.unit.leaderboard.test_evaluate import make_pictures

pytestmark = pytest.mark.server

VENV = Path(os.environ.get("MEAN_OPINION_VLLM_VENV", Path(__file__).resolve().parents[2] / ".venv-vllm"))
NAME = "tiny-qwen3-vl"
WORDS = ["excellent", "good", "fair", "poor", "bad"]
_START_SECONDS = 300


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    if not (VENV / "bin" / "vllm").exists():
        pytest.skip(f"there is no vLLM in {VENV} (make test-server builds it)")
    # vLLM's CPU attention wants heads of at least 32.
    return tiny_lmm.build("qwen3_vl", tmp_path_factory.mktemp("tiny"), width=128)


class Served:
    """A vLLM on a fixed port, in a process group of its own; `ready` starts it where it is not running."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint, self.port = checkpoint, free_port()
        self._process: subprocess.Popen | None = None
        self._log = checkpoint / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> str:
        if self._process is None or self._process.poll() is not None:
            self._start()
        return self.url

    def kill(self) -> None:
        """kill -9 for all of its processes, as when its machine is taken away."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _start(self) -> None:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
                       "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1",
                       "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [VENV / "bin" / "vllm", "serve", self.checkpoint, "--served-model-name", NAME, "--dtype", "float32",
                 "--enforce-eager", "--block-size", "32", "--limit-mm-per-prompt", '{"image":6,"video":0}',
                 "--max-model-len", "2048", "--host", "127.0.0.1", "--port", str(self.port)],
                env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + _START_SECONDS
        while True:
            if self._process.poll() is not None:
                pytest.fail(f"vLLM ended: {self._log.read_text(errors='replace')[-3000:]}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            if time.monotonic() > end:
                pytest.fail(f"vLLM did not start within {_START_SECONDS} s: "
                            f"{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def served(checkpoint) -> Iterator[Served]:
    made = Served(checkpoint)
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
def server(served) -> str:
    return served.ready()


@pytest.fixture(scope="module")
def local(checkpoint) -> TransformersLMM:
    return TransformersLMM(checkpoint, device="cpu", dtype="float32")


def picture(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def prompts() -> list[Prompt]:
    one = [Prompt.ask(picture(seed, size), "How would you rate the quality of this image?",
                      answer_prefix="The quality of this image is")
           for seed, size in enumerate([(64, 48), (32, 64), (64, 64), (48, 48)])]
    several = Prompt((Turn("user", (picture(7), "This image's quality is good.")),
                      Turn("user", (picture(8), "How would you rate the quality of this image?"))),
                     "The quality of this image is")
    return [*one, several]


def centred(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities and logits differ by a constant a row."""
    return logits - logits.mean(axis=1, keepdims=True)


def test_word_logits_agree_with_transformers(server, local):
    logits = ServerLMM(server, NAME).word_logits(prompts(), WORDS)
    expected = local.word_logits(prompts(), WORDS)
    gap = np.abs(centred(logits) - centred(expected)).max()
    print(f"largest difference {gap:.2e}")
    assert gap < 5e-3


def test_faults_on_the_way_change_nothing(server, local):
    with FaultProxy(server) as proxy:
        lmm = ServerLMM(proxy.url, NAME, timeout=2.0, patience=60)
        proxy.faults.extend(["429", "500", "cut", "slow", "500"])
        logits = lmm.word_logits(prompts(), WORDS)
        assert sum(proxy.met.values()) == 5
    assert np.abs(centred(logits) - centred(local.word_logits(prompts(), WORDS))).max() < 5e-3


def test_texts_repeat_with_their_seed_and_stream(server):
    lmm = ServerLMM(server, NAME)
    first = lmm.generate(prompts()[:2], n=3, max_new_tokens=8, seed=5)
    assert first == lmm.generate(prompts()[:2], n=3, max_new_tokens=8, seed=5)
    assert [len(texts) for texts in first] == [3, 3]
    assert "".join(lmm.stream(prompts()[0], max_new_tokens=8, temperature=0)) == lmm.generate(
        prompts()[:1], max_new_tokens=8, temperature=0)[0][0]


def test_what_the_server_refuses_is_said(server):
    lmm = ServerLMM(server, NAME, image_budget=20)
    with pytest.raises(LMMError, match="image"):
        lmm.word_logits([Prompt.ask(*(picture(seed) for seed in range(8)), "How?", answer_prefix="It is")], ["good"])
    with pytest.raises(LMMError, match="does not serve 'tiny-qwen'"):
        ServerLMM(server, "tiny-qwen")


def test_a_run_on_a_bad_line_equals_one_on_a_good_line(server, tmp_path):
    data = make_pictures(tmp_path / "set", 24)
    good, bad = tmp_path / "good", tmp_path / "bad"
    assert evaluate(data, good, server) == 0
    with FaultProxy(server) as proxy:
        proxy.faults.extend(["cut", "429", None, "500", "429", None, "slow", "cut", None, "500"])
        assert evaluate(data, bad, proxy.url.removesuffix("/v1"), "timeout=2&patience=60") == 0
        assert not proxy.faults
    assert not any(row.error for row in load_run(bad))
    assert scores(bad) == pytest.approx(scores(good), abs=1e-4)


def test_a_server_that_is_killed_in_the_middle_of_a_run(served, tmp_path, capsys):
    data = make_pictures(tmp_path / "set", 60)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert evaluate(data, whole, served.ready()) == 0
    with FaultProxy(served.url) as proxy:
        # The plug is pulled when the 23rd picture arrives, so the moment does not depend on how busy the machine is.
        proxy.faults.extend([None] * 22 + [served.kill])
        assert evaluate(data, killed, proxy.url.removesuffix("/v1"), "patience=2&concurrency=2") == 1
        assert "check that it runs" in capsys.readouterr().err
        kept = load_run(killed)
        assert len(kept) == 20  # five whole batches of four
        assert not any(row.error for row in kept)
        served.ready()
        assert evaluate(data, killed, proxy.url.removesuffix("/v1"), "patience=2&concurrency=2") == 0
    assert load_run(killed)[:20] == kept
    assert scores(killed) == pytest.approx(scores(whole), abs=1e-4)


def evaluate(data: tuple[Path, Path], out: Path, url: str, settings: str = "patience=60") -> int:
    unload()  # The connection of an earlier run has met a server that is no longer there.
    return main(["evaluate", "--method", "q-bench", "--lmm", f"server:{url}/v1?{settings}#{NAME}", "--images",
                 str(data[0]), "--scores", str(data[1]), "--batch-size", "4", "--out", str(out)])


def scores(run: Path) -> dict[str, float | None]:
    return {row.image: row.score for row in load_run(run)}
