"""`python -m methods.iqarag COMMAND`: as `mean-opinion refset COMMAND`.

    mean-opinion refset build --images DIR --scores CSV --out SET
    mean-opinion refset build --dataset koniq-10k --root DIR --out SET
    mean-opinion refset encode SET --lmm NAME --out SET2
    mean-opinion refset info SET
    mean-opinion refset experiment ratios --data DIR --out RESULTS
    mean-opinion score PHOTO --method iqarag --reference-set SET
"""

from __future__ import annotations

import sys
from functools import partial

from methods.cli.running import Command, run

COMMANDS = {
    "build": Command("methods.iqarag.commands.build", "build a reference set from rated images"),
    "encode": Command("methods.iqarag.commands.encode", "give a set the features of another encoder or LMM"),
    "info": Command("methods.iqarag.commands.info", "what a set holds"),
    "experiment": Command("methods.iqarag.commands.experiment", "run one of IQARAG's experiments"),
    "measure": Command("methods.iqarag.commands.measure", "pool the predictions of several experiments, such as folds"),
}

main = partial(run, "python -m methods.iqarag", COMMANDS)

if __name__ == "__main__":
    sys.exit(main())
