"""Imports point in the directions that docs/architecture.md draws, and in no other."""

import ast
import re
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ngdiff"

# Module or package of ours -> what it may import of ours. Everything may import those of `EVERYBODY`.
ARROWS: dict[str, set[str]] = {
    "__init__": {"commands", "training"},  # the names of `import ngdiff`
    "commands": {"cli", "results", "scoring"},
    "results": {"cli", "evidence", "report", "scoring"},
    "checking": {"data", "metrics"},
    "checkpoint_places": set(),
    "checksums": {"hashes", "writing"},
    "errors": set(),
    "evidence": {"checksums", "hashes", "metrics", "scoring", "writing"},
    "exit_codes": set(),
    "file_names": set(),
    "hashes": {"own_folders"},
    "hub_errors": set(),
    "imports": set(),
    "lazy": set(),
    "option": {"ranges"},
    "output_folder": {"checkpoint_places", "own_folders", "writing"},
    "own_folders": set(),
    "paths": set(),
    "plurals": set(),
    "ranges": set(),
    "secrets": set(),
    "spec": set(),
    "torchrun": set(),
    "writing": set(),
    "manifest": {"__init__", "data", "evidence", "hashes", "own_folders", "secrets", "writing"},
    "core": set(),
    "weighting": {"core", "imports", "spec"},
    "objectives": {"core", "imports", "spec"},
    "data": {"own_folders", "writing"},
    "metrics": set(),
    "recipes": {"report", "scoring", "writing"},
    "report": {"evidence", "hashes", "hub_errors", "metrics", "scoring", "writing"},
    "modeling": {"core", "writing"},
    "speed": {"core", "modeling"},
    "scoring": {"metrics"},
    "sweep": {"secrets", "writing"},
    "evaluation": {"data", "metrics", "modeling", "scoring", "speed", "writing"},
    "tasks": {"core", "data", "evaluation", "modeling", "objectives", "option", "speed"},
    "training": {
        "__init__",
        "checkpoint_places",
        "checksums",
        "core",
        "weighting",
        "objectives",
        "data",
        "manifest",
        "metrics",
        "modeling",
        "evaluation",
        "option",
        "output_folder",
        "ranges",
        "report",
        "secrets",
        "spec",
        "speed",
        "tasks",
        "writing",
    },
    "estimate": {"core", "data", "modeling", "speed", "tasks", "training"},
    "audit": {"data", "evaluation", "metrics", "modeling", "training", "writing"},
}
SEES_EVERYTHING = {"cli", "__main__"}
EVERYBODY = {"errors", "exit_codes", "file_names", "lazy", "paths", "plurals"}

# Module or package of ours -> what it may import of others, the standard library aside.
OTHERS: dict[str, set[str]] = {
    "__init__": set(),
    "checking": set(),
    "checkpoint_places": set(),
    "checksums": set(),
    "errors": set(),
    "evidence": {"cryptography", "yaml"},
    "exit_codes": set(),
    "file_names": set(),
    "hashes": set(),
    "hub_errors": {"huggingface_hub"},
    "imports": set(),
    "lazy": set(),
    "option": set(),
    "output_folder": set(),
    "own_folders": set(),
    "paths": set(),
    "plurals": set(),
    "ranges": set(),
    "secrets": set(),
    "spec": set(),
    "commands": set(),
    "results": set(),
    "torchrun": {"psutil", "torch"},
    "writing": set(),
    "manifest": {"torch", "yaml"},
    "core": {"torch"},
    "weighting": {"torch", "torchjd"},
    "objectives": {"torch"},
    # Batches and tokens are its work: it builds the tensors and is given a tokenizer.
    "data": {"datasets", "datasketch", "jinja2", "numpy", "PIL", "pyarrow", "torch", "tqdm"},
    "metrics": {"numpy", "regex", "scipy", "rouge_score"},
    "recipes": {"matplotlib", "yaml"},
    "report": {"huggingface_hub", "jinja2", "markupsafe", "matplotlib", "numpy", "scipy", "yaml"},
    "modeling": {"torch", "transformers", "tokenizers", "huggingface_hub", "peft", "safetensors"},
    "speed": {"torch", "transformers", "cut_cross_entropy", "liger_kernel"},
    "scoring": {"scipy"},
    # Extras: Optuna, what it keeps its studies with, and Ray.
    "sweep": {"optuna", "ray", "sqlalchemy"},
    # The last two are extras, imported where they are asked for.
    "evaluation": {"torch", "transformers", "accelerate", "tqdm", "yaml", "lm_eval", "vllm"},
    "tasks": {"torch"},
    # The last three are the optimizers of an optional extra.
    "training": {
        "torch",
        "transformers",
        "accelerate",
        "peft",
        "safetensors",
        "dadaptation",
        "prodigyopt",
        "schedulefree",
    },
    "estimate": {"torch", "transformers", "peft", "tqdm"},
    "audit": {"bitsandbytes", "torch", "tqdm", "transformers"},  # the first is an extra
}


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(text: str, path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, wherever in the file, relative ones resolved."""
    package = ["ngdiff", *path.relative_to(SOURCE).parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "ngdiff" else {module}
    return names


def violations(text: str, path: Path) -> list[str]:
    part = part_of(path)
    if part in SEES_EVERYTHING:
        return []
    wrong = []
    for name in sorted(imports(text, path)):
        top, *rest = name.split(".")
        if top == "ngdiff":
            # `from ngdiff import __version__` is an import of __init__ itself
            first = rest[0] if rest else "__init__"
            target = first if first in ARROWS or first in SEES_EVERYTHING else "__init__"
            if target not in ARROWS[part] | EVERYBODY | {part}:
                wrong.append(name)
        elif top not in sys.stdlib_module_names and top not in OTHERS[part]:
            wrong.append(name)
    return wrong


FILES = sorted(SOURCE.rglob("*.py"))


def test_every_part_has_a_place_in_the_tables() -> None:
    parts = {part_of(path) for path in FILES} - SEES_EVERYTHING
    assert parts <= ARROWS.keys()
    assert ARROWS.keys() == OTHERS.keys()


def test_the_map_in_the_documentation_shows_the_rooms_and_their_arrows() -> None:
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|.*\| (.*) \|$", text, flags=re.MULTILINE)
    drawn = {room: set() if targets == "-" else set(targets.split(", ")) for room, targets in rows}
    assert drawn.pop("cli") == {"everything"}
    rooms = {part for part in ARROWS if (SOURCE / part).is_dir()}
    assert drawn == {room: ARROWS[room] & rooms for room in rooms}


def test_the_documentation_names_files_that_exist() -> None:
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+\.py)`", text)) - {"tests/test_imports.py"}
    there = {path.relative_to(SOURCE).as_posix() for path in FILES}
    assert all(any(f"/{path}".endswith(f"/{name}") for path in there) for name in named)
    assert {path for path in there if "/" not in path} - {"__init__.py", "__main__.py"} <= named


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_private_names_stay_in_their_files(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ngdiff":
            private = [alias.name for alias in node.names if re.match("_(?!_)", alias.name)]
            assert not private, f"{node.module}: {', '.join(private)}"


def test_arrows_have_no_cycle() -> None:
    graph = {part: set(targets) - {"__init__"} for part, targets in ARROWS.items()}
    while graph:
        ends = {part for part, targets in graph.items() if not targets & graph.keys()}
        assert ends, f"a cycle among {sorted(graph)}"
        graph = {part: targets for part, targets in graph.items() if part not in ends}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_follow_the_arrows(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("core/a.py", "import torch\nimport numpy", ["numpy"]),
        ("core/a.py", "from ngdiff.training.trainer import X", ["ngdiff.training.trainer"]),
        ("core/a.py", "from ngdiff import training", ["ngdiff.training"]),
        ("core/a.py", "from ..training import trainer", ["ngdiff.training"]),
        (
            "core/a.py",
            "from . import gramian\nfrom .gramian import gramian\nfrom ..errors import InputError",
            [],
        ),
        ("core/a.py", "def f():\n    import transformers", ["transformers"]),
        ("metrics/a.py", "import torch", ["torch"]),
        ("data/a.py", "from ngdiff.modeling import load_model", ["ngdiff.modeling"]),
        ("evaluation/a.py", "import ngdiff.cli.main", ["ngdiff.cli.main"]),
        ("errors.py", "import ngdiff", ["ngdiff"]),
        ("cli/a.py", "import ngdiff.training, anything", []),
    ],
)
def test_a_wrong_arrow_is_found(file: str, text: str, wrong: list[str]) -> None:
    assert violations(text, SOURCE / file) == wrong
