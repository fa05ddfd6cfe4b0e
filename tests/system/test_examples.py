"""Each file of examples/ does what its header says, unchanged, on a real network."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from web3.types import RPCEndpoint

from chain.deployed.contracts import Deployment
from tests.documentation import ROOT
from tests.system.conftest import HONEST, TIMEOUT_S, Client
from tests.system.test_access import signed_in
from tests.system.test_openai import ANSWER, ASKED
from tests.system.test_x402 import open_till

EXAMPLES = ROOT / "examples"
PYTHON, SHELL, NODE = [sys.executable], ["sh"], ["node"]
GAS_WEI = 10**18
JAPAN = "The capital of Japan is Tokyo."


def surroundings(client: Client, **more: str) -> dict[str, str]:
    """What an example is told in place of the ports and folders of `make run`."""
    deployed = Deployment.load(client.network.deployment_file).addresses
    told = {
        "VAR_DIR": str(client.network.var_dir),
        "ROUTER_URL": client.network.router_url,
        "RPC_URL": client.network.rpc_url,
        "POOL_ADDRESS": deployed["NodePool"],
        "QUEUE_ADDRESS": deployed["SessionQueue"],
    }
    shell = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return shell | told | more


def run(client: Client, command: Sequence[str], name: str, *arguments: str, **more: str) -> str:
    """What an example prints."""
    done = subprocess.run(
        [*command, str(EXAMPLES / name), *arguments],
        cwd=ROOT,
        env=surroundings(client, **more),
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def wait_until(holds: Callable[[], bool], log: Path) -> None:
    """Wait for what an example leads to, and show what it said if that does not come."""
    until = time.monotonic() + 3 * TIMEOUT_S
    while not holds():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)


@contextmanager
def started(
    client: Client, command: Sequence[str], name: str, *arguments: str, log: Path, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """An example that runs until it is told to stop, and then ends well."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command, str(EXAMPLES / name), *arguments],
            cwd=ROOT,
            env=surroundings(client, **more),
            stdout=said,
            stderr=said,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


def test_every_example_is_listed_and_tested() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()} - {"README.md"}
    listed = re.findall(r"^\| \[([\w.]+)\]\(\1\)", (EXAMPLES / "README.md").read_text(), re.M)
    assert set(listed) == files
    for name in files:
        text = (EXAMPLES / name).read_text()
        assert f" examples/{name}" in text, f"{name} says how it is run"
        assert "`make run`" in text
    tested = set(re.findall(r'"(\w+\.(?:py|mjs|sh))"', Path(__file__).read_text()))
    assert tested - {"manage.py"} == files


def test_openai(client: Client, session_id: int, without_cheat: None) -> None:
    """The newest session pays: this one."""
    whole, streamed = run(client, PYTHON, "openai_chat.py").splitlines()
    assert whole == JAPAN
    assert streamed
    assert len(client.router.tasks(session_id)) == 2


def test_web3(client: Client, without_cheat: None) -> None:
    said = run(client, PYTHON, "web3_session.py").splitlines()
    miners = {line.partition(": ")[0] for line in said if line.endswith(f": {JAPAN}")}
    assert len(miners) == 2
    assert miners <= {miner.address for miner in client.network.miners}


def test_ethers(client: Client, without_cheat: None) -> None:
    said = run(client, NODE, "ethers_session.mjs")
    assert ": The capital of Italy is Rome." in said
    [session_id] = re.findall(r"^session (\d+) holds 1\.0 COR", said, re.M)
    [paid, back] = re.findall(r"^paid ([\d.]+) COR, took ([\d.]+) COR back", said, re.M)[0]
    assert float(paid) > 0
    assert float(paid) + float(back) == pytest.approx(1)
    assert client.balance_wei(int(session_id)) == 0


def test_curl(client: Client, session_id: int) -> None:
    said = run(client, SHELL, "stream.sh", ASKED, SESSION_ID=str(session_id))
    whole, _, rest = said.partition("── the same answer")
    pieces = [re.findall(r'"text": ?"([^"]*)"', part) for part in (whole, rest)]
    assert "".join(pieces[0]) == ANSWER
    assert ANSWER.endswith("".join(pieces[1]))
    assert said.count("data: [DONE]") == 2


def test_x402(client: Client) -> None:
    open_till(client)
    said = run(client, PYTHON, "x402_pay_per_call.py")
    assert JAPAN in said
    assert re.search(r"^paid \S+ COR in 0x[0-9a-f]{64}$", said, re.M)


def test_webhooks(client: Client, tmp_path: Path) -> None:
    session_id, log = client.session(1), tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with signed_in(client, client.account) as browser:
        wanted = {"url": f"http://127.0.0.1:{port}/", "session_id": session_id}
        made = browser.post("webhooks", json=wanted).raise_for_status().json()
        example = (PYTHON, "webhook_receiver.py", made["secret"])
        with started(client, *example, log=log, PORT=str(port)):
            wait_until(lambda: "listening" in log.read_text(), log)
            forged = {"webhook-id": "1", "webhook-timestamp": str(int(time.time()))}
            forged["webhook-signature"] = "v1,bm8="
            assert httpx.post(wanted["url"], content=b"{}", headers=forged).status_code == 401
            answer = client.router.ask(session_id, ASKED, lambda _: None)
            told = f"task.ended: task {session_id}/{answer.task_id}: settled"
            wait_until(lambda: told in log.read_text(), log)
        browser.delete(f"webhooks/{made['id']}").raise_for_status()


def test_a_miner_on_another_machine(client: Client, tmp_path: Path) -> None:
    node = {"CORTENSOR_NODE_HOME": str(tmp_path), "PYTHON": sys.executable}
    node |= {"MODEL": HONEST, "MODEL_NUMBER": "1", "THREADS": "1"}
    init = [sys.executable, "-m", "mining.node", "--home", str(tmp_path), "init"]
    address = subprocess.run(init, cwd=ROOT, capture_output=True, text=True, check=True)
    miner, log = address.stdout.strip(), tmp_path / "log"
    client.w3.provider.make_request(RPCEndpoint("anvil_setBalance"), [miner, hex(GAS_WEI)])

    def shown(**members: object) -> bool:
        headers = {"Authorization": f"Bearer {client.network.api_key}"}
        url = f"{client.network.router_url}/api/v1/miners"
        rows = httpx.get(url, headers=headers).raise_for_status().json()["miners"]
        return any(members.items() <= row.items() for row in rows if row["address"] == miner)

    with started(client, SHELL, "miner.sh", log=log, **node) as process:
        wait_until(lambda: shown(online=True, state="registered"), log)
        operate(client, "admit_miner", "--address", miner)
        wait_until(lambda: shown(online=True, state="ephemeral"), log)
        # Other tests know their miners.
        operate(client, "admit_miner", "--address", miner, "--dismiss")
        wait_until(lambda: shown(state="registered"), log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0, log.read_text()
    client.router.wait_until_gone(miner)


def operate(client: Client, *command: str) -> None:
    """An operator's command on this network, with what `make run` keeps for it."""
    kept = (client.network.var_dir / "network.env").read_text()
    settings = dict(line.split("=", 1) for line in kept.splitlines())
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=os.environ | {name: value.strip("'") for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
