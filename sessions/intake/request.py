"""A client's validated request. Pure."""

import hashlib
from dataclasses import asdict, dataclass, field

from chain.protocol.digests import canonical_json
from chain.protocol.params import AskedParams, PromptType, RequestParams
from sessions.intake.options import GenerationOptions

DEFAULT_TIMEOUT_S = 60
MAX_STOPS, MAX_STOP_CHARACTERS = 4, 64
IDEMPOTENCY_KEY = "Idempotency-Key"
"""The header with a client's name for a request, which makes the request safe to repeat."""


@dataclass(frozen=True)
class CompletionRequest:
    """A prompt and how to answer it. Decimals are in hundredths, as on chain.

    Parameters that `params` omits take the model's defaults (`sessions.ports.PromptCounter`).
    `max_tokens` is reduced to the room that the model's context has left.

    `max_miners` limits only the number of returned choices; 0 returns all. The contract reserves by
    the session's redundancy, and the comparison of results needs every answer.

    `client_reference` is a label that many tasks may share, and it is stored on chain.
    `idempotency_key` identifies this request within its session.
    """

    prompt: str
    prompt_type: int = PromptType.MESSAGE
    prompt_template: str = ""
    timeout_s: int = DEFAULT_TIMEOUT_S
    client_reference: str = ""
    max_miners: int = 0
    params: AskedParams = field(default_factory=AskedParams)
    stop: tuple[str, ...] = ()
    options: GenerationOptions = field(default_factory=GenerationOptions)
    idempotency_key: str = ""

    @property
    def request_params(self) -> RequestParams:
        return RequestParams(self.timeout_s)

    @property
    def content(self) -> bytes:
        """The content block of the prompt. The task's digest covers its address, so all of it."""
        return canonical_json(
            {"prompt": self.prompt, "stop": list(self.stop)} | self.options.to_content()
        )

    @property
    def hash(self) -> str:
        """A hash of the request without its idempotency key, 64 hex digits."""
        members = asdict(self) | {"options": self.options.to_content()}
        del members["idempotency_key"]  # the key finds the earlier request to compare with
        return hashlib.sha256(canonical_json(members)).hexdigest()
