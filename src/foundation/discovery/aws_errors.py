"""Say in words what AWS refuses, and what to do about it."""

from __future__ import annotations

from typing import Any

from foundation.errors import DiscoveryError

_FORBIDDEN = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedException"}
_EXPIRED = {"RequestExpired", "ExpiredToken", "ExpiredTokenException"}
_INVALID = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException"}


def explain(error: Exception) -> DiscoveryError | None:
    """Return the error to raise instead, or None if boto3 has nothing to do with it."""
    from botocore import exceptions, parsers  # noqa: PLC0415 - an extra

    if isinstance(error, exceptions.ClientError):
        text = _explain_answer(error)
    elif isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        hint = "give the instance or task a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        text = f"there are no AWS credentials: {hint}"
    elif isinstance(error, exceptions.CredentialRetrievalError | exceptions.TokenRetrievalError):
        text = f"the AWS credentials cannot be had: {error}"
    elif isinstance(error, exceptions.HTTPClientError):
        text = f"AWS does not answer: {error}; check the network, the region and 'endpoint_url'"
    elif isinstance(error, parsers.ResponseParserError):
        text = f"AWS answers what is none of its answers; check 'endpoint_url': {str(error)[:80]}"
    elif isinstance(error, exceptions.BotoCoreError):
        text = f"AWS cannot be asked: {error}"
    else:
        return None
    return DiscoveryError(text)


def is_about_credentials(error: Exception) -> bool:
    """Tell whether other credentials would have been better."""
    from botocore import exceptions  # noqa: PLC0415 - an extra

    if isinstance(error, exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Code")) in _EXPIRED | _INVALID
    return isinstance(
        error,
        exceptions.NoCredentialsError
        | exceptions.PartialCredentialsError
        | exceptions.CredentialRetrievalError
        | exceptions.TokenRetrievalError,
    )


def _explain_answer(error: Any) -> str:  # noqa: ANN401 - an extra's type
    operation = getattr(error, "operation_name", "?")
    details = error.response.get("Error", {})
    code, text = str(details.get("Code", "?")), str(details.get("Message", ""))
    action = f"{'ecs' if 'Task' in operation else 'ec2'}:{operation}"
    if code in _FORBIDDEN:
        return f"AWS does not allow {action}: add this action to the IAM policy of the node's role ({code}: {text})"
    if code in _EXPIRED:
        return f"the AWS credentials have expired, or this machine's clock is wrong: renew them ({code}: {text})"
    if code in _INVALID:
        return f"AWS does not know the credentials: check the access key and its secret ({code}: {text})"
    if code in _THROTTLED:
        return f"AWS limits the rate of {action}: raise 'poll_interval_s' ({code}: {text})"
    return f"AWS refuses {action} ({code}: {text})"
