"""The commands of a node's owner, and the answers to mistakes."""

import hashlib
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from mining.node.cli.parser import TRY_LATER, main
from mining.node.config import ConfigError, environment_of, redis_url_from

COMMANDS = (
    "init",
    "address",
    "models",
    "bench",
    "run",
    "status",
    "register",
    "stake",
    "unbond",
    "withdraw",
    "claim",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REDIS_URL", "ROUTER_URL", "RPC_URL", "MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CORTENSOR_NODE_HOME", str(tmp_path))
    return tmp_path


def test_a_key_is_made_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["init"]), main(["init"]), main(["address"])] == [0, 0, 0]
    assert len(set(capsys.readouterr().out.split())) == 1
    assert (home / "keystore.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "usage: python -m mining.node" in said
    assert "ROUTER_URL" in said


def test_models_are_listed_verified_and_removed(
    home: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = home / "copy.gguf"
    copy.write_bytes(model_path.read_bytes())
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    assert main(["models", "add", "7", str(copy), "--sha256", digest]) == 0
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"7  {digest}  {copy}"] * 2
    assert main(["models", "verify"]) == 0
    assert main(["bench", "--model", "7", "--slots", "2"]) == 0
    assert "2 at once" in capsys.readouterr().out

    copy.write_bytes(copy.read_bytes()[:-1])
    assert main(["models", "verify"]) == 2
    assert "it was cut short" in capsys.readouterr().err
    assert main(["models", "remove", "7"]) == 0
    assert main(["models", "remove", "7"]) == 2
    assert copy.exists()


def test_a_model_with_another_digest_is_not_added(home: Path, model_path: Path) -> None:
    assert main(["models", "add", "1", str(model_path), "--sha256", "00" * 32]) == 2
    assert not (home / "models.json").exists()


def test_what_is_no_model_is_named(
    home: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = home / "cut.gguf"
    cut.write_bytes(model_path.read_bytes()[:5000])
    assert main(["bench", "--model", str(cut)]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert main(["bench", "--model", "9"]) == 2
    assert "models add 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (["run"], "ROUTER_URL"),
        (["register"], "POOL_ADDRESS"),
        (["withdraw"], "QUEUE_ADDRESS"),
        (["withdraw", "--stake"], "POOL_ADDRESS"),
        (["stake", "5"], "POOL_ADDRESS"),
        (["unbond", "5"], "POOL_ADDRESS"),
        (["claim"], "RPC_URL"),
    ],
)
def test_a_missing_setting_is_named(
    home: Path, command: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init"])
    assert main(command) == 2
    assert f"error: {missing}" in capsys.readouterr().err


def test_what_is_away_may_come_back(
    home: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that keeps a node running must not take it for a mistake."""
    main(["init"])
    (home / "node.toml").write_text(f'router_url = "http://127.0.0.1:1"\nmodel = "{model_path}"\n')
    assert main(["run"]) == TRY_LATER
    assert "ROUTER_URL: http://127.0.0.1:1 does not answer" in capsys.readouterr().err
    assert main(["run", "--redis-url", "redis://u:p@127.0.0.1:1/0"]) == TRY_LATER
    assert "REDIS_URL" in capsys.readouterr().err
    upstream = ["--upstream-url", "http://127.0.0.1:1/v1", "--upstream-model", "m"]
    assert main(["bench", "--model", str(model_path), *upstream]) == TRY_LATER
    assert "UPSTREAM_URL: the server does not answer" in capsys.readouterr().err


def test_the_file_stands_behind_the_environment(home: Path) -> None:
    (home / "node.toml").write_text('slots = 7\nrouter_url = "https://router.example"\n')
    told = environment_of(home, None, {"SLOTS": "3"})
    assert (told["SLOTS"], told["ROUTER_URL"]) == ("3", "https://router.example")


def test_a_flag_stands_before_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init"])
    monkeypatch.setenv("RPC_URL", "http://127.0.0.1:1/environment")
    flags = ["--pool-address", "0x" + "33" * 20, "--rpc-url", "http://127.0.0.1:2/flag"]
    assert main(["register", *flags]) == TRY_LATER
    assert main(["register", *flags[:2]]) == TRY_LATER
    assert main(["run", "--router-url", "http://127.0.0.1:1", "--gpu-layers", "x"]) == 2
    assert "GPU_LAYERS: 'x'" in capsys.readouterr().err


def test_the_file_may_use_lists_and_truth_values(home: Path) -> None:
    (home / "node.toml").write_text("models = [1, 2]\nredis_plaintext = true\n")
    told = environment_of(home, None, {})
    assert (told["MODELS"], told["REDIS_PLAINTEXT"]) == ("1,2", "1")


@pytest.mark.parametrize(("text", "said"), [("slotz = 1", "slotz"), ("slots =", "cannot be read")])
def test_a_mistake_in_the_file_is_named(home: Path, text: str, said: str) -> None:
    (home / "node.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        environment_of(home, None, {})


@pytest.mark.parametrize(
    ("url", "environment", "allowed"),
    [
        ("redis://u:p@127.0.0.1:6379/0", {}, True),
        ("redis://u:p@localhost:6379/0", {}, True),
        ("redis://u:p@[::1]:6379/0", {}, True),
        ("rediss://u:p@redis.example:6379/0", {}, True),
        ("redis://u:p@redis.example:6379/0", {}, False),
        ("redis://u:p@10.0.0.5:6379/0", {}, False),
        ("redis://u:p@redis:6379/0", {"REDIS_PLAINTEXT": "1"}, True),
    ],
)
def test_a_mailbox_on_another_machine_needs_tls(
    url: str, environment: dict[str, str], allowed: bool
) -> None:
    if allowed:
        assert redis_url_from(url, environment) == url
    else:
        with pytest.raises(ConfigError, match="rediss://"):
            redis_url_from(url, environment)


def test_a_node_needs_nothing_but_its_own_requirements() -> None:
    """With every other package that is installed here out of reach, each module imports."""
    lines = Path("requirements-node.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    assert pinned.isdisjoint({"django", "psycopg", "web3", "torch", "djangorestframework"})
    others = [
        module
        for module, names in packages_distributions().items()
        if pinned.isdisjoint(re.sub(r"[-_.]+", "-", name).lower() for name in names)
    ]
    script = (
        "import importlib, pkgutil, sys\n"
        "sys.modules.update(dict.fromkeys(sys.argv[1:]))\n"
        "import mining.node\n"
        "for each in pkgutil.iter_modules(mining.node.__path__):\n"
        "    if each.name != '__main__':\n"
        "        importlib.import_module(f'mining.node.{each.name}')\n"
    )
    subprocess.run([sys.executable, "-c", script, *others], check=True)
    assert "django" in others
