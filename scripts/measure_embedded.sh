#!/usr/bin/env bash
# Measures every method with the weights in assets/ on the photos that they were trained on, held out, and adds the
# results to the leaderboard: scripts/measure_embedded.sh DATA MODELS STUDENTS [OUT [BIQ2021]]
#
#   DATA       rated photos: scores.csv and images/; the folder's name is the dataset's slug
#   MODELS     the cache of `python -m methods.embedded.lmm --only all`, with a model a fold
#   STUDENTS   what `python -m methods.embedded.student --folds STUDENTS` wrote
#   OUT        where the runs go (runs/embedded); started again, unfinished ones go on
#   BIQ2021    folder of that dataset, whose test split both students are measured on; left out, they are not
#
# JOBS=2 runs two methods at a time, ADD=no measures only. Every photo is scored by the fold's model that was trained
# without it; the student that saw nothing of LIVE Challenge scores all of them.
set -euo pipefail
data=$(realpath "$1") models=$(realpath "$2") students=$(realpath "$3")
biq2021=$(realpath -m "${5:-.}")
cd "$(dirname "$0")/.."
repository=$PWD out=$(realpath -m "${4:-runs/embedded}")
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
name=$(basename "$data")

# Results record their command; links of fixed names keep the paths of this machine out of it.
mkdir -p "$out"
cd "$out"
ln -sfn "$data" "$name"
ln -sfn "$models" embedded-lmm-folds
ln -sfn "$students" leaf-folds
if [ -n "${5:-}" ]; then ln -sfn "$biq2021" biq2021; fi
export PYTHONPATH=$repository

measure() {
  local run=$1
  shift
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
  "$python" -m leaderboard evaluate "$@" --images "$name/images" --scores "$name/scores.csv" --out "$run" &
}
# The slowest first, so that none is left alone at the end.
measure llm-iqa --method llm-iqa --folds embedded-lmm-folds
measure q-debias --method q-debias --folds embedded-lmm-folds
measure iqarag --method iqarag --folds embedded-lmm-folds
measure visualquality-r1 --method visualquality-r1 --folds embedded-lmm-folds
measure q-bench-two-words --method q-bench --variant "two words" --folds embedded-lmm-folds
measure q-bench-five-levels --method q-bench --option question=five-level --variant "five levels" \
  --folds embedded-lmm-folds
measure leaf --method leaf --option map=false --folds leaf-folds
measure leaf-unseen --method leaf --option map=false --student embedded-biq2021 --variant "trained on BIQ2021"
runs="q-bench-two-words q-bench-five-levels iqarag llm-iqa q-debias visualquality-r1 leaf leaf-unseen"
if [ -n "${5:-}" ]; then
  for student in embedded-biq2021 embedded; do
    "$python" -m leaderboard evaluate --method leaf --option map=false --student "$student" \
      --dataset biq2021 --root biq2021 --split test --out "leaf-biq2021-$student"
    runs="$runs leaf-biq2021-$student"
  done
fi
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n; done

if [ "${ADD:-yes}" = yes ]; then
  for run in $runs; do
    "$python" -m leaderboard add "$run" --replace
  done
  "$python" -m leaderboard check
fi
