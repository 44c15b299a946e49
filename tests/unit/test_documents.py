"""What the documents say is where they say: every path and module that they name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
OF_RUNS = {"predictions.csv", "metrics.json"}
"""Files that a run writes."""


def named(document: str) -> set[str]:
    """Paths between backquotes and in links: with a slash, or of a Markdown, Python, TOML or CSV file."""
    text = (ROOT / document).read_text("utf-8")
    words = {word for word in CODE.findall(text) if PATH.fullmatch(word)}
    paths = {word for word in words if "/" in word or re.search(r"\.(py|md|toml|csv|svg)$", word)}
    links = {target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target}
    return (paths | links) - OF_RUNS


def modules(document: str) -> set[str]:
    """Dotted names between backquotes that start with a package of this project."""
    words = CODE.findall((ROOT / document).read_text("utf-8"))
    return {word for word in words if re.fullmatch(r"(methods|leaderboard|ui|mean_opinion|assets)(\.\w+)+", word)}


def exists(path: str, places: list[Path]) -> bool:
    return any((place / path).exists() for place in places)


@pytest.mark.parametrize(("document", "places"), [
    ("docs/ARCHITECTURE.md", ["", "methods"]),
    ("CONTRIBUTING.md", [""]),
    ("leaderboard/README.md", ["leaderboard", ""]),
])
def test_every_path_and_module_of_a_document_exists(document, places):
    folders = [ROOT / document, *(ROOT / place for place in places)]
    folders[0] = folders[0].parent
    examples = {"about.md", "method.py", "README.md", "pipeline.svg"}  # of any method's folder
    absent = sorted(path for path in named(document) - examples if not exists(path, folders))
    assert not absent, f"{document} names {absent}"
    for module in sorted(modules(document)):
        owner, _, name = module.rpartition(".")
        place = ROOT / module.replace(".", "/")
        if place.is_dir() or place.with_suffix(".py").is_file():
            continue
        parent = ROOT / owner.replace(".", "/")
        source = parent / "__init__.py" if parent.is_dir() else parent.with_suffix(".py")
        text = source.read_text("utf-8") if source.is_file() else ""
        assert re.search(rf"\b{name}\b", text), f"{document} names {module}"


def test_a_path_that_is_gone_is_noticed():
    assert len(named("docs/ARCHITECTURE.md")) > 12
    assert not exists("leaderboard/static_figures.py", [ROOT])


def text(document: str) -> str:
    return " ".join((ROOT / document).read_text("utf-8").split())


def words(number: int) -> str:
    return ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
            "twelve")[number]


def test_counts_and_sizes_in_the_documents_are_those_of_the_data():
    from leaderboard.schema import load_board
    from methods.data import LAYOUTS
    from methods.llm_iqa.segmenters import SAM2_CHECKPOINTS
    from methods.lmm.catalogue import find
    from methods.lmm.defaults import GENERAL, ZERO_GPU_BYTES
    from methods.visualquality_r1.method import VisualQualityR1

    board = load_board()
    assert f"`data/published.csv` ({len(board.published):,} results)" in text("leaderboard/README.md")
    assert f"`data/ablations.csv` ({len(board.ablations):,})" in text("leaderboard/README.md")
    assert f"{words(len(SAM2_CHECKPOINTS))} checkpoints by name" in text("methods/llm_iqa/README.md")
    assert f"as distributed; {words(len(LAYOUTS))} are known" in text("methods/iqarag/README.md")
    layouts = ", ".join(layout.title for layout in LAYOUTS.values())
    assert f"Known layouts: {layouts} (" in text("leaderboard/EVALUATE.md")
    gibibytes = sum(find(name).memory_gib for name in (GENERAL[0], VisualQualityR1.own_lmm))
    assert (f"take {gibibytes * 2**30 / 1e9:.0f} GB in bfloat16, below ZeroGPU's {ZERO_GPU_BYTES / 1e9:.0f} GB mark"
            in text("README.md"))


@pytest.mark.parametrize(("folder", "size"), [("embedded-lmm", "({:.0f} MB in float16)"),
                                              ("embedded-student", "({:.1f} MB)")])
def test_the_cards_say_how_large_the_shipped_weights_are(folder, size):
    [weights] = (ROOT / "assets" / folder).glob("*.safetensors")
    card = text(f"assets/{folder}/README.md")
    assert size.format(weights.stat().st_size / 1e6) in card
    if folder == "embedded-lmm":
        from safetensors import safe_open

        with safe_open(weights, "np") as file:
            count = sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118 - no mapping
        assert f"{count / 1e6:.1f} million weights" in card
