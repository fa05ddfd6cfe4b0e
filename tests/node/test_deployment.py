"""The files that install a miner: its image and its systemd unit."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_miners_image_has_all_of_the_project_that_a_miner_runs(tmp_path: Path) -> None:
    """Its files alone make a key, know the shipped model and measure it."""
    stage = (ROOT / "Dockerfile").read_text().partition("FROM base AS miner\n")[2]
    stage = stage.partition("\nFROM ")[0]
    for line in re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE):
        *sources, target = line.split()
        (tmp_path / target).mkdir(parents=True, exist_ok=True)
        for source in sources:
            if source.endswith("/"):
                shutil.copytree(ROOT / source, tmp_path / target, dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / source, tmp_path / target)
    environment = {"PATH": os.environ["PATH"], "CORTENSOR_NODE_HOME": str(tmp_path / "data")}
    for command in (["--help"], ["init"], ["bench", "--slots", "1"], ["models"]):
        ran = subprocess.run(
            [sys.executable, "-m", "mining.node", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "manage.py").exists()


def test_the_unit_runs_the_miner_finishes_what_runs_and_does_not_repeat_mistakes() -> None:
    unit = ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "docs/cortensor-miner.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("python -m mining.node run")
    assert int(service["TimeoutStopSec"]) >= 3600
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", "2")
