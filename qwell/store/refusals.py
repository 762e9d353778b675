"""What libraries say when a remote place refuses, and what to do about it."""

from __future__ import annotations

from qwell.errors import shown

SIGN_IN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws configure`",
    "gs": "sign in with `gcloud auth application-default login`",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "hf": "sign in with `hf auth login`, or set HF_TOKEN to a token that may write",
    "ssh": "check that `ssh` to this host works without a password (`ssh-copy-id`, `ssh-agent`)",
    "http": "the web server wants a login that qwell does not give; ask whoever keeps it",
}  # by extra


BUSY = (408, 425, 429, 500, 502, 503, 504)  # what servers answer that may answer otherwise later


class ServerBusy(OSError):
    """A server that may answer later; `wait` is in how many seconds, as it says."""

    wait: float = 0


def is_busy(error: BaseException) -> bool:
    """Whether a server said that it may do later what it does not now."""
    return isinstance(error, ServerBusy) or status_of(error) in BUSY or _of_aws(error.__cause__) in BUSY


def wants_credentials(error: BaseException) -> bool:
    """Whether a library found no credentials, or the place did not accept them."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _NO_CREDENTIALS) or status_of(error) in (401, 403)


def is_refused_condition(error: OSError) -> bool:
    """Whether a store did not write because what was to be there, or not to be there, is otherwise."""
    return isinstance(error, FileExistsError) or _of_aws(error.__cause__) in (409, 412)


def is_past_the_end(error: OSError) -> bool:
    """Whether a store says that a file has no bytes where some were asked for."""
    return 416 in (_of_aws(error.__cause__), status_of(error), status_of(error.__cause__))


def _of_aws(error: BaseException | None) -> int:
    """What S3 answered, as botocore says; 0 if it did not."""
    said = getattr(error, "response", None)
    code = said.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(said, dict) else 0
    return code if isinstance(code, int) else 0


def status_of(error: BaseException | None) -> int:
    """What a web server answered, as the library that asked it says; 0 if it did not."""
    response = getattr(error, "response", None)
    status = getattr(error, "status", 0) if response is None else getattr(response, "status_code", 0)
    return status if isinstance(status, int) else 0


_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError",  # AWS
    "DefaultCredentialsError", "RefreshError",  # Google
    "ClientAuthenticationError",  # Azure
    "LocalTokenNotFoundError",  # Hugging Face
    "PermissionDenied", "HostKeyNotVerifiable",  # SSH
}  # fmt: skip


def reason(error: BaseException) -> str:
    """An error of a library, in a line."""
    if isinstance(error, TimeoutError):
        return "there is no answer"
    text = shown(str(error)).replace(" ssl:default", "").strip().splitlines()  # aiohttp's, for http as well
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
