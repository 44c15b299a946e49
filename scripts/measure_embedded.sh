#!/usr/bin/env bash
# Measures every method with the weights in assets/ and adds the results to the leaderboard:
# scripts/measure_embedded.sh DATA STUDENTS [OUT [BIQ2021]]
#
#   DATA       rated photos: scores.csv and images/; the folder's name is the dataset's slug
#   STUDENTS   what `python -m methods.embedded.student --folds STUDENTS` wrote
#   OUT        where the runs go (runs/embedded); started again, unfinished ones go on
#   BIQ2021    folder of that dataset, whose test split is measured too; left out, it is not
#
# JOBS=2 runs two methods at a time, ADD=no measures only, SLOW=no leaves out BIQ2021's slowest two. The embedded LMM and
# the student embedded-biq2021 have seen nothing of LIVE Challenge; of the student that was calibrated with it, every
# photo is scored by the fold that was calibrated without it. IQARAG never shows a photo its own content as a reference.
set -euo pipefail
data=$(realpath "$1") students=$(realpath "$2")
biq2021=$(realpath -m "${4:-.}")
cd "$(dirname "$0")/.."
repository=$PWD out=$(realpath -m "${3:-runs/embedded}")
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
name=$(basename "$data")

# Results record their command; links of fixed names keep the paths of this machine out of it.
mkdir -p "$out"
cd "$out"
ln -sfn "$data" "$name"
ln -sfn "$students" leaf-folds
if [ -n "${4:-}" ]; then ln -sfn "$biq2021" biq2021; fi
export PYTHONPATH=$repository

runs=""
measure() {
  local run=$1
  shift
  runs="$runs $run"
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
  "$python" -m leaderboard evaluate "$@" --out "$run" &
}
on_data() { measure "$1" "${@:2}" --images "$name/images" --scores "$name/scores.csv"; }
on_biq2021() { measure "$1-biq2021" "${@:2}" --dataset biq2021 --root biq2021 --split test; }

on_data q-bench-two-words --method q-bench --variant "two words"
on_data q-bench-five-levels --method q-bench --option question=five-level --variant "five levels"
on_data iqarag --method iqarag
on_data visualquality-r1 --method visualquality-r1
on_data q-debias --method q-debias
on_data llm-iqa --method llm-iqa
on_data leaf --method leaf --option map=false --folds leaf-folds
on_data leaf-unseen --method leaf --option map=false --student embedded-biq2021 --variant "trained on BIQ2021"
if [ -n "${4:-}" ]; then
  on_biq2021 leaf-unseen --method leaf --option map=false --student embedded-biq2021 --variant "trained on BIQ2021"
  on_biq2021 leaf --method leaf --option map=false --student embedded
  on_biq2021 q-bench-two-words --method q-bench --variant "two words"
  on_biq2021 q-bench-five-levels --method q-bench --option question=five-level --variant "five levels"
  on_biq2021 iqarag --method iqarag
  on_biq2021 visualquality-r1 --method visualquality-r1
  if [ "${SLOW:-yes}" = yes ]; then
    on_biq2021 q-debias --method q-debias
    on_biq2021 llm-iqa --method llm-iqa
  fi
fi
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n; done

if [ "${ADD:-yes}" = yes ]; then
  for run in $runs; do
    "$python" -m leaderboard add "$run" --replace
  done
  "$python" -m leaderboard check
fi
