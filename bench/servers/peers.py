"""Starts llama-cpp-python's server and a LiteLLM proxy for it, in an environment of their own.

So their many dependencies stay out of the project's environment. The peers use the project's build
of llama-cpp-python, so that both sides run the same code.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import llama_cpp

BASE_DIR = Path(__file__).resolve().parent.parent.parent
FOLDER = BASE_DIR / ".venv-bench"
MODEL_NAME = "cortensor-mini"
START_TIMEOUT_S = 180.0
CONTEXT_TOKENS = 512


def prepare() -> None:
    """Create the peers' environment if it is missing, which takes minutes."""
    done = FOLDER / ".router"
    if done.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    pip = [str(FOLDER / "bin/pip"), "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "-r", str(BASE_DIR / "requirements-bench.txt")], check=True)
    lent = FOLDER / "lent"
    lent.mkdir(exist_ok=True)
    (lent / "llama_cpp").unlink(missing_ok=True)
    (lent / "llama_cpp").symlink_to(Path(llama_cpp.__file__).parent)
    done.touch()


@contextmanager
def llama_server(model: Path, port: int, folder: Path) -> Iterator[str]:
    """Run `llama_cpp.server` with a model, and yield its base URL."""
    command = [str(FOLDER / "bin/python"), "-m", "llama_cpp.server"]
    command += ["--model", str(model), "--model_alias", MODEL_NAME, "--port", str(port)]
    # By default the server interrupts a stream when another request arrives.
    command += ["--interrupt_requests", "false", "--n_ctx", str(CONTEXT_TOKENS), "--n_threads", "1"]
    lent = {"PYTHONPATH": str(FOLDER / "lent")}
    with _running("llama-server", command, port, folder, lent) as url:
        yield url


@contextmanager
def litellm_proxy(upstream: str, port: int, folder: Path, key: str) -> Iterator[str]:
    """Run a LiteLLM proxy for a server, and yield its base URL. Clients need `key`."""
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n"
        f"  - model_name: {MODEL_NAME}\n"
        "    litellm_params:\n"
        f"      model: openai/{MODEL_NAME}\n"
        f"      api_base: {upstream}/v1\n"
        "      api_key: none\n"
    )
    command = [str(FOLDER / "bin/litellm"), "--config", str(config), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--telemetry", "False"]
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    own |= {"LITELLM_MASTER_KEY": key}
    with _running("litellm", command, port, folder, own, key) as url:
        yield url


@contextmanager
def _running(
    name: str,
    command: list[str],
    port: int,
    folder: Path,
    environment: dict[str, str],
    key: str = "",
) -> Iterator[str]:
    url, log = f"http://127.0.0.1:{port}", folder / f"{name}.log"
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=kept | environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_up(url, key, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(url: str, key: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/v1/models", headers=headers, timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")
