"""The packages' structure: small folders, short modules, no import circles."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cortensor_site", "mining", "sessions", "chain")
MAX_FILES = 14
MAX_LINES = 400
DOTTED_PATH = re.compile(rf"""["'](?:{"|".join(PACKAGES)})(?:\.\w+){{2,}}["']""")
BY_NAME = (
    "cortensor_site/settings.py",
    "cortensor_site/urls.py",  # what Django wants as names
    "mining/node/protocol/names.py",  # names of Celery tasks, as they travel
)

DJANGOS_NAMES = {"Command", "Migration"}


def folders() -> Iterator[Path]:
    """Every folder of modules or contracts, but for migrations, which only grow in number."""
    for package in (*PACKAGES, "bench", "contracts"):
        for folder in (ROOT / package, *(ROOT / package).rglob("*")):
            apart = {"migrations", "__pycache__", "test", "out", "cache"}
            if folder.is_dir() and not apart & set(folder.parts):
                yield folder


def modules() -> Iterator[Path]:
    """Every module, contract and test."""
    for package in (*PACKAGES, "bench", "contracts/src", "contracts/test", "tests", "examples"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".sol", ".mjs") and "migrations" not in path.parts:
                yield path


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Names that import each other in a circle, if any do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)


def test_no_folder_has_more_modules_than_can_be_taken_in() -> None:
    counts = {
        str(folder.relative_to(ROOT)): len([*folder.glob("*.py"), *folder.glob("*.sol")])
        for folder in folders()
    }
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES} == {}


def test_no_module_is_longer_than_can_be_read_at_a_sitting() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()
    }
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_nothing_of_ours_is_named_by_a_dotted_path_that_mypy_cannot_see() -> None:
    named = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if str(path.relative_to(ROOT)) not in BY_NAME and "migrations" not in path.parts
        for match in DOTTED_PATH.finditer(path.read_text())
    }
    assert named == set()


def test_a_class_name_of_sessions_stands_for_one_thing() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in (ROOT / "sessions").rglob("*.py"):
        if path.name != "shapes.py" or path.parent.name != "schema":  # named as the rows they show
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and node.name not in DJANGOS_NAMES:
                    found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_modules_import_each_other_in_no_circle(imports: grimp.ImportGraph) -> None:
    graph = {
        module: imports.find_modules_directly_imported_by(module) for module in imports.modules
    }
    assert circle_in(graph) == []


def test_rooms_import_each_other_in_no_circle(imports: grimp.ImportGraph) -> None:
    """Neither do the folders and modules in any folder, each taken as one with all that it has."""
    siblings: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for importer in imports.modules:
        for imported in imports.find_modules_directly_imported_by(importer):
            here, there = importer.split("."), imported.split(".")
            depth = next(
                (n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), None
            )
            if depth is not None:  # else one stands in the other
                folder, ends = ".".join(here[:depth]), (here[: depth + 1], there[: depth + 1])
                siblings[folder][".".join(ends[0])].add(".".join(ends[1]))
    circles = {folder: circle_in(graph) for folder, graph in siblings.items()}
    assert {folder: circle for folder, circle in circles.items() if circle} == {}
