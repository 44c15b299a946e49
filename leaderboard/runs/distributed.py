"""The same work on many processes or machines, with Ray Data: `evaluate --ray`.

Batches travel as names and paths, never as pixels, so every machine has to see the images under the same path. Each
actor holds one copy of the method. Ray starts an actor that dies again and gives its batch to another one; rows come
back to one process, which alone writes the run's folder, as in a run without Ray. So a killed cluster goes on like
a killed process, and the numbers are the same.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import assets
from leaderboard.runs import provenance
from leaderboard.runs.folder import Prediction, RunError
from leaderboard.schema import Facts
from methods.data import RatedPicture
from methods.errors import UserError
from methods.lmm.base import LMMError
from methods.lmm.errors import DeviceLost, ModelUnavailable
from methods.lmm.names import name_and_settings, name_with

_REPOSITORY = assets.FOLDER.parent
_TRIES_AGAIN = 3  # A batch that has killed an actor four times is at fault itself.
_MOST_BLOCKS = 2000  # Each block is a task of Ray's; a very long list puts several batches into one.
_LOCAL_STORE_BYTES = 512 * 2**20
_BLOCK_BYTES = 2**20  # Only paths and numbers travel. Ray plans for so much per task, and starts none that may not fit.


@dataclass(frozen=True)
class Cluster:
    """Where and how widely to score.

    Attributes:
        address: "local" for a Ray of this run's own on this machine; "auto", HOST:PORT or ray://HOST:PORT for a
            cluster.
        actors: copies of the method; None for as many as fit.
        cpus: cores of each, which is its number of threads where it has no GPU.
        gpus: of each; None for 1 where the cluster has GPUs, else 0.
    """

    address: str = "local"
    actors: int | None = None
    cpus: int = 1
    gpus: float | None = None

    def score(self, method: str, lmm: str | None, options: Mapping[str, object],
              pending: Sequence[Sequence[RatedPicture]], members: Sequence[Path] = ()
              ) -> Iterator[tuple[Facts, Facts, list[Prediction]]]:
        """(identity, about, rows) of every batch, in the order in which they are done.

        Arguments as `leaderboard.runs.evaluation.Evaluation.perform`; `pending` as `leaderboard.runs.scoring.batches`.

        Raises:
            RunError: Ray is not installed, the cluster cannot be reached or is too small, or a batch kills its actors.
            methods.lmm.LMMError: an actor cannot load or reach the model.
        """
        if not pending:
            return
        ray = _ray()
        self._connect(ray)
        try:
            recipe: Facts = {"method": method, "lmm": _absolute(lmm), "options": options,
                                      "folders": [os.path.abspath(folder) for folder in members]}
            # An actor on a GPU counts few cores, so that Ray can place it, and prepares images on all that there are.
            gpus, actors = self._size(ray, len(pending))
            if gpus:
                recipe["threads"] = max(int(ray.cluster_resources().get("CPU", 1)) // actors, self.cpus)
            yield from self._stream(ray, recipe, pending)
        finally:
            ray.shutdown()

    def _connect(self, ray: ModuleType) -> None:
        settings: Facts = {
            "log_to_driver": True, "logging_level": "ERROR", "include_dashboard": False,
            "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(
                filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH")])),
                "OMP_NUM_THREADS": str(self.cpus), "MKL_NUM_THREADS": str(self.cpus), "TQDM_DISABLE": "1"}},
        }
        if self.address == "local":
            settings |= {"address": "local", "object_store_memory": _LOCAL_STORE_BYTES}
        else:
            settings["address"] = self.address
            del settings["include_dashboard"]
            # On a cluster the code comes with the job (`ray job submit --working-dir`).
            del settings["runtime_env"]["env_vars"]["PYTHONPATH"]
        try:
            ray.init(**settings)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise RunError(f"No Ray cluster answers at {self.address!r} ({error}); start one with `ray start --head`, "
                           "or leave the address out.") from error

    def _stream(self, ray: ModuleType, recipe: Facts, pending: Sequence[Sequence[RatedPicture]]) \
            -> Iterator[tuple[Facts, Facts, list[Prediction]]]:
        from ray.data import ActorPoolStrategy, DataContext

        gpus, actors = self._size(ray, len(pending))
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = _BLOCK_BYTES
        # Rows are written as they come: waiting for the slowest would lose more to a kill.
        context.execution_options.preserve_order = False
        blocks = min(len(pending), _MOST_BLOCKS)
        data = ray.data.from_items([{"batch": _packed(batch)} for batch in pending], override_num_blocks=blocks)
        warnings.filterwarnings("ignore", message=".*ray_remote_args_fn.*")  # as requirements-ray.txt says
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # It tells of every execution; progress is told here.
        scored = data.map(
            _Actor, fn_constructor_kwargs=recipe,
            compute=ActorPoolStrategy(size=actors), num_cpus=self.cpus, num_gpus=gpus,
            ray_remote_args_fn=_survival)
        try:
            for row in scored.iter_rows():
                answer = json.loads(row["answer"])
                if "unavailable" in answer:
                    raise ModelUnavailable(answer["unavailable"])
                if "failed" in answer:
                    raise LMMError(answer["failed"])
                yield (answer["identity"], answer["about"],
                       [Prediction(**prediction) for prediction in answer["rows"]])
        except ray.exceptions.RayError as error:
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise RunError(f"Ray gave a batch up ({first}); what is done is kept, so look at the log of the actor, "
                           "then run the same command again.") from error

    def _size(self, ray: ModuleType, batches: int) -> tuple[float, int]:
        """GPUs per actor and number of actors, from what the cluster has."""
        there = ray.cluster_resources()
        cpus, all_gpus = there.get("CPU", 0.0), there.get("GPU", 0.0)
        gpus = self.gpus if self.gpus is not None else (1.0 if all_gpus else 0.0)
        fitting = int(min(cpus // self.cpus, all_gpus // gpus if gpus else float("inf")))
        actors = self.actors or max(min(fitting, batches), 1)
        if actors > fitting:
            advice = f"ask for at most {fitting}" if fitting else "ask for fewer cores or GPUs each"
            raise RunError(f"{actors} {'actor' if actors == 1 else 'actors'} of {self.cpus} cores and {gpus:g} GPUs do "
                           f"not fit into {cpus:g} cores and {all_gpus:g} GPUs; {advice}.")
        return gpus, actors


class _Actor:
    """One copy of the method in a process of its own.

    What goes wrong travels as text: an exception here would make Ray try again what cannot succeed.
    """

    def __init__(self, method: str, lmm: str | None, options: Mapping[str, object], folders: Sequence[str],
                 threads: int | None = None) -> None:
        from leaderboard.runs.folds import make_scorer

        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        self.failure = ""
        try:
            self.scorer = make_scorer(method, lmm, options, folders)
        except UserError as error:
            self.failure = str(error)

    def __call__(self, row: Facts) -> dict[str, str]:
        return {"answer": json.dumps(self._answer(row["batch"]))}

    def _answer(self, batch: str) -> Facts:
        if self.failure:
            return {"failed": self.failure}
        try:
            rows = self.scorer.score([RatedPicture(**picture) for picture in json.loads(batch)])
        except DeviceLost as error:
            # No call of this process would reach the GPU again: Ray starts another one and hands it the batch.
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        except ModelUnavailable as error:
            return {"unavailable": str(error)}
        identity = self.scorer.identity()
        about = {**self.scorer.about(), "footprint": provenance.footprint(identity["lmm"])}
        return {"identity": identity, "about": about, "rows": [asdict(row) for row in rows]}


def _survival() -> dict[str, int]:
    """What Ray does when an actor dies: starts it again, and gives its batch to another a few times."""
    return {"max_restarts": -1, "max_task_retries": _TRIES_AGAIN}


def _packed(batch: Sequence[RatedPicture]) -> str:
    """JSON keeps every float64 and every file name, valid text or not."""
    return json.dumps([{**asdict(picture), "path": None if picture.path is None else os.path.abspath(picture.path)}
                       for picture in batch])


def _absolute(lmm: str | None) -> str | None:
    """A checkpoint folder by its full path: an actor's working directory need not be this one."""
    name, settings = name_and_settings(lmm or "")
    if lmm and name and Path(name).expanduser().is_dir():
        return name_with(str(Path(name).expanduser().resolve()), settings)
    return lmm


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RunError("--ray needs Ray; install it with `pip install -r requirements-ray.txt`.") from error
    return ray
