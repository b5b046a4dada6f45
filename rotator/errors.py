"""What can go wrong, as a tree. Every message is one line that says what and where; the hint says what to do.

RotatorError                     exit code 1
├── ConfigError                  exit code 2: every problem of the configuration at once
├── AddressUnusable              exit code 2: nothing can listen on the address for health or metrics
├── DockerConfigError            a Secret's text is not what a kubelet can parse
├── KeyringError                 a kubelet could not build its keyring for this image
│   ├── UnparsableSecret         one pull secret breaks every pull of the Pod
│   └── UnparsableImage          the image's name does not parse
├── MintError                    a cloud gave no credential
│   ├── IdentityMissing          no usable identity: configuration, environment or a file is wrong
│   ├── MintRefused              the cloud knows who asks and says no
│   ├── MintThrottled            retryable: too many requests
│   ├── MintTimedOut             retryable: no answer within the deadline
│   ├── CloudUnavailable         retryable: 5xx, connection lost, name not resolved
│   ├── MalformedAnswer          retryable: the answer is not a credential
│   └── CredentialSpent          retryable: the credential had no life left when it arrived
├── ProbeRefused                 the registry refused a new credential
├── ProbeUnanswered              retryable: the registry gave no verdict, and what is published stays
├── WebError (web.py)            a request to a registry could not be sent as it is
│   ├── WebTimeout               retryable: no complete answer in time
│   └── WebUnreachable           retryable: no connection, or one that broke
└── ClusterError                 the API server's answer to one request
    ├── ClusterUnusable          exit code 3: no kubeconfig, no connection, no authentication
    ├── Forbidden                403; the hint names the rule to add
    │   └── NamespaceTerminating nothing can be created in a namespace that is being deleted; no rule helps
    ├── NotFound                 404
    ├── Conflict                 409: changed since it was read, or another field manager owns it
    ├── Invalid                  422: a failed precondition or an immutable field
    ├── Throttled                retryable: 429, with the server's Retry-After
    ├── NotLeading               not sent: another replica writes, or this one is stopping
    └── ServerFailed             retryable: 5xx, time-out, connection lost
        └── Gone (cluster/)      410: a page or a watch is too old to be continued

An SDK's error is chained (`raise ... from error`) and its text is never shown: google-auth and azure-identity put the
server's answer into it, which may echo the request's secrets.
"""

from datetime import timedelta
from typing import ClassVar


class RotatorError(Exception):
    """The base of every error of ours. `message` says what and where, `hint` what to do; neither holds a secret."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    @property
    def reason(self) -> str:
        """The class's name: a constant for logs, metrics and tests."""
        return type(self).__name__


class ConfigError(RotatorError):
    """The configuration cannot be used. `problems` holds one line each: path, what is wrong, what to write instead."""

    exit_code = 2

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        head = source if len(problems) == 1 else f"{source}: {len(problems)} problems"
        super().__init__(f"{head}: {problems[0]}" if len(problems) == 1 else "\n  ".join((head, *problems)))
        self.source = source
        self.problems = problems


class AddressUnusable(RotatorError):
    """An address to listen on cannot be parsed or had: in use, not of this machine, or not allowed."""

    exit_code = 2


class DockerConfigError(RotatorError):
    """A dockerconfigjson text that a kubelet could not parse."""


class KeyringError(RotatorError):
    """A kubelet could not build its keyring."""


class UnparsableSecret(KeyringError):
    """One pull secret does not parse, and so every pull of the Pod fails. `secret` is its name."""

    def __init__(self, secret: str, problem: str) -> None:
        super().__init__(f"pull secret {secret!r}: {problem}", hint="repair or remove it: it fails every pull")
        self.secret = secret


class UnparsableImage(KeyringError):
    """The image's name does not parse as a reference."""

    exit_code = 2


class MintError(RotatorError):
    """A cloud gave no credential. Of the SDK's error only its class, code and HTTP status are kept."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        sdk_class: str = "",
        code: str = "",
        status: int | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.sdk_class = sdk_class
        self.code = code
        self.status = status
        self.retry_after = retry_after


class IdentityMissing(MintError):
    """No usable identity was found: the configuration, the environment or a credentials file is wrong."""


class MintRefused(MintError):
    """The cloud refused this identity, or its permission."""


class MintThrottled(MintError):
    """The cloud asks for patience; `retry_after` is its own figure, where it gave one."""

    retryable = True


class MintTimedOut(MintError):
    """No complete answer within the deadline."""

    retryable = True


class CloudUnavailable(MintError):
    """The cloud answered 5xx, dropped the connection, or its name did not resolve."""

    retryable = True


class MalformedAnswer(MintError):
    """The cloud's answer is not a credential."""

    retryable = True


class CredentialSpent(MintError):
    """The credential had no life left when it arrived."""

    retryable = True


class ProbeRefused(RotatorError):
    """The registry refused a new credential (400, 401 or 403), so it is not published."""

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ProbeUnanswered(RotatorError):
    """The registry gave no verdict on a new credential, so what is published stays while it lives."""

    retryable = True


class ClusterError(RotatorError):
    """The API server's answer to one request, or the lack of one."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after


class ClusterUnusable(ClusterError):
    """No request can succeed: no kubeconfig, no connection, or the server does not know who we are."""

    exit_code = 3


class Forbidden(ClusterError):
    """403: RBAC or admission says no. The hint names the rule to add."""


class NamespaceTerminating(Forbidden):
    """403: the namespace is being deleted, and nothing can be created in it any more. No rule helps."""


class NotFound(ClusterError):
    """404."""


class Conflict(ClusterError):
    """409: the object changed since it was read, or another field manager owns a field. `managers` names those."""

    def __init__(self, message: str, *, hint: str = "", managers: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint, status=409)
        self.managers = managers


class Invalid(ClusterError):
    """422: a precondition failed, or a field is immutable."""


class Throttled(ClusterError):
    """429: the API server asks for patience; `retry_after` is its own figure, where it gave one."""

    retryable = True


class NotLeading(ClusterError):
    """The write was not sent: this process does not lead any more, or it is stopping."""


class ServerFailed(ClusterError):
    """5xx, a time-out, or a lost connection."""

    retryable = True
