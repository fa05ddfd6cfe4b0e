"""What a client asks for, once it is known to be well-formed. Pure."""

import hashlib
from dataclasses import asdict, dataclass, field

from chain.protocol.digests import canonical_json
from chain.protocol.params import AskedParams, PromptType, RequestParams
from sessions.intake.options import GenerationOptions

DEFAULT_TIMEOUT_S = 60
MAX_STOPS, MAX_STOP_CHARACTERS = 4, 64
IDEMPOTENCY_KEY = "Idempotency-Key"
"""The header that names a request, so that it can be sent again."""


@dataclass(frozen=True)
class CompletionRequest:
    """A prompt and how it is to be answered; decimals are in hundredths, as on chain.

    What `params` leaves out is the model's own choice (`sessions.ports.PromptCounter`).
    `max_miners` limits only how many choices come back: the contract reserves by the session's
    redundancy, and the comparison needs every answer. 0 is all. An answer with less room in the
    model's context than `max_tokens` gets what room there is.
    `client_reference` is a label, which many tasks may have; it is on chain. `idempotency_key`
    names this request alone in its session.
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
        """The block that the task's content address names; so the digest binds all of it."""
        return canonical_json(
            {"prompt": self.prompt, "stop": list(self.stop)} | self.options.to_content()
        )

    @property
    def hash(self) -> str:
        """Tells a repeated request from another one: 64 hex digits."""
        members = asdict(self) | {"options": self.options.to_content()}
        del members["idempotency_key"]  # what it is found by
        return hashlib.sha256(canonical_json(members)).hexdigest()
