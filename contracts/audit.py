"""Run slither over the contracts, and hold its findings against the answers in AUDIT.md.

Fails when a finding has no answer there. An answer without a finding is only named: what slither
follows changes with sources that have nothing to do with it. Slither is `SLITHER` (by default the
one in .venv-slither); it reads what forge compiled, so that nothing is downloaded.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "contracts" / "AUDIT.md"
CACHE = ROOT / "contracts" / "cache" / "audit"
FORGE_BIN = ROOT / "node_modules" / ".bin"
EVERYWHERE = "everywhere"


@dataclass(frozen=True, order=True)
class Finding:
    """What slither says: the detector, and the contract's function or variable that it is about."""

    detector: str
    place: str


def main() -> int:
    found = set(findings(analyse()))
    answered = set(answers(ANSWERS.read_text()))
    unanswered = sorted(finding for finding in found if not is_answered(finding, answered))
    idle = sorted(answer for answer in answered if not answers_any(answer, found))
    for finding in unanswered:
        print(f"{finding.detector} in {finding.place}: fix it, or answer it in contracts/AUDIT.md")
    for answer in idle:
        print(f"{answer.detector} in {answer.place}: slither does not find it (now)")
    print(f"{len(found)} findings, {len(unanswered)} without an answer")
    return 1 if unanswered else 0


def analyse() -> Any:
    """Compile with forge, and give slither what forge wrote down of it."""
    shutil.rmtree(CACHE, ignore_errors=True)
    forge = [sys.executable, str(ROOT / "contracts" / "forge.py"), "build", "contracts/src"]
    build_info = CACHE / "build-info"
    places = ["--build-info-path", str(build_info), "--out", str(CACHE / "out")]
    quiet = subprocess.DEVNULL
    subprocess.run(
        [*forge, "--build-info", *places, "--cache-path", str(CACHE / "cache"), "--offline"],
        cwd=ROOT,
        env=os.environ | {"FOUNDRY_PROFILE": "deployed"},
        check=True,
        stdout=quiet,
        stderr=quiet,
    )
    report = CACHE / "slither.json"
    slither = os.environ.get("SLITHER", str(ROOT / ".venv-slither" / "bin" / "slither"))
    subprocess.run(
        [
            *(slither, ".", "--compile-force-framework", "foundry", "--foundry-ignore-compile"),
            *("--foundry-build-info-directory", str(build_info), "--filter-paths", "node_modules"),
            *("--json", str(report), "--fail-none"),
        ],
        cwd=ROOT,
        check=True,
        stdout=quiet,
        stderr=quiet,
        # It asks forge for the project's folders.
        env={
            **os.environ,
            "FOUNDRY_PROFILE": "deployed",
            "PATH": f"{FORGE_BIN}{os.pathsep}{os.environ['PATH']}",
        },
    )
    return json.loads(report.read_text())


def findings(report: Any) -> Iterator[Finding]:
    for result in report["results"]["detectors"]:
        yield Finding(result["check"], place_of(result["elements"][0]))


def place_of(element: Any) -> str:
    """`Contract.function`; of a variable inside a function, that function."""
    parent = element["type_specific_fields"]["parent"]
    if parent["type"] == "function":
        return place_of(parent)
    return f"{parent['name']}.{element['name']}"


def answers(text: str) -> Iterator[Finding]:
    """The rows `| detector | places | answer |` of AUDIT.md."""
    for detector, places in re.findall(
        r"^\| `([a-z-]+)` \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE
    ):
        for place in re.split(r",\s*", places.strip()):
            yield Finding(detector, place.strip("`"))


def is_answered(finding: Finding, answered: set[Finding]) -> bool:
    return finding in answered or Finding(finding.detector, EVERYWHERE) in answered


def answers_any(answer: Finding, found: set[Finding]) -> bool:
    if answer.place == EVERYWHERE:
        return any(finding.detector == answer.detector for finding in found)
    return answer in found


if __name__ == "__main__":
    sys.exit(main())
