"""The app as on a ZeroGPU Space, on a CPU: workers are forked for each request, and CUDA is emulated until then.

What is faked lies below `spaces`: its scheduler is `tests.zerogpu.scheduler`, a worker finds no device, so that tensors
"move" to where they are already. Everything of `spaces` that the app meets is the real thing: the emulated CUDA of the
main process, the fork, queues between processes, and what becomes of errors on their way back.

Run as a program with SPACES_ZERO_DEVICE_API_URL. HOLD_LOCKS=1 keeps every lock that a worker needs locked in another
thread once the app has started, as if another visitor's model was being loaded at each fork.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def fake_device() -> None:
    """Emulated CUDA in the main process, and none in its workers."""
    import torch

    def refuse() -> None:
        raise RuntimeError("CUDA was initialised in the main process.")

    torch.version.cuda = "12.8"
    torch._C._cuda_init = refuse
    torch.cuda._is_in_bad_fork = bool
    import spaces.zero.torch as zero
    from spaces.zero.torch import patching

    def move(callback: object = None) -> None:
        with torch._C.DisableTorchFunction():
            for fake, original in list(patching.cuda_aliases.items()):
                if original is not None:
                    fake.data = original

    zero.init, zero.move = (lambda uuid: None), move
    zero.pack = zero.size = lambda: 0


def hold_locks() -> None:
    """Keeps every lock of the methods from the start on, but the one that the main process itself needs."""
    # An import here, beside the one of the main thread, can meet a module that is half there.
    while not getattr(sys.modules.get("ui.serving.models"), "_started", False):
        time.sleep(0.05)
    from methods import locks
    from ui.serving import models

    held = [lock for lock in list(locks._locks) if lock is not models._lock]
    for lock in held:
        lock.__enter__()
    print(f"{len(held)} locks are held.", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    fake_device()
    if os.environ.get("HOLD_LOCKS") == "1":
        threading.Thread(target=hold_locks, daemon=True).start()
    sys.argv = ["app.py"]
    runpy.run_path(str(REPOSITORY / "app.py"), run_name="__main__")
