"""A Google credentials file, read and checked before it is used.

Whoever writes such a file decides where the Pod's identity is sent, and google-auth checks no address in it. Google
asks its users to validate files that they did not write themselves
(https://cloud.google.com/docs/authentication/external/externally-sourced-credentials); here every file is. A problem
names the field and its right form, never its value: a misplaced secret could be there.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Fields = Mapping[str, object]

LONGEST_FILE = 1024 * 1024
"""Bytes; a key takes 2.5 KiB."""

_UNIVERSE = "googleapis.com"
_TOKEN_URIS = (
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
)
# SERVICE, SERVICE.mtls, SERVICE.REGION.rep and, for Private Service Connect, SERVICE-NAME.p, all of googleapis.com.
_HOST = r"https://{service}(?:\.mtls|\.[a-z0-9-]+\.rep|-[a-z0-9]+\.p)?\.googleapis\.com"
_TOKEN_URL = re.compile(_HOST.format(service="sts") + r"/v1(?:beta)?/token")
_IMPERSONATION_URL = re.compile(
    _HOST.format(service="iamcredentials") + r"/v1/projects/-/serviceAccounts/[a-z0-9._@-]+:generateAccessToken"
)
# The link-local metadata services of AWS and Azure: the documented forms of URL sources, and plain http by nature.
_METADATA_URL = re.compile(r"http://(?:169\.254\.169\.254|\[fd00:ec2::254\])/[\x21-\x7e]*")
_AWS_VERIFICATION_URL = re.compile(
    r"https://sts(?:\.\{region\}|\.[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/?\?Action=GetCallerIdentity&Version=2011-06-15"
)
_METADATA_FIELDS = ("url", "region_url", "imdsv2_session_token_url")


class Unfit(ValueError):
    """The file must not be used; the text says why."""


def read(path: Path) -> dict[str, object]:
    """The file's content, fit for use. Raises OSError, or Unfit with the first problem."""
    with path.open("rb") as file:
        text = file.read(LONGEST_FILE + 1)
    try:
        content = json.loads(text[:LONGEST_FILE])
    except (ValueError, RecursionError):
        raise Unfit("it is not JSON") from None  # noqa: EM101, TRY003  (a problem, as below); the error quotes the file
    if not isinstance(content, dict):
        raise Unfit("it is not a JSON object")  # noqa: EM101, TRY003  (likewise)
    for problem in problems(content):
        raise Unfit(problem)
    return content


def problems(content: Fields) -> Iterator[str]:
    """Each reason not to use this content, as text."""
    kind = content.get("type")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        yield f"type must be one of {', '.join(_CHECKS)}"
        return
    # google-auth puts the universe's domain into every host that it asks.
    if content.get("universe_domain", _UNIVERSE) != _UNIVERSE:
        yield f"universe_domain must be {_UNIVERSE}"
    yield from check(content)


def _service_account(content: Fields) -> Iterator[str]:
    if content.get("token_uri") not in _TOKEN_URIS:
        yield f"token_uri must be {_TOKEN_URIS[0]}"


def _authorized_user(_: Fields) -> Iterator[str]:
    """Nothing to check: google-auth asks its own address, whatever the file says (oauth2/credentials.py)."""
    yield from ()


def _impersonated(content: Fields) -> Iterator[str]:
    yield from _impersonation(content, required=True)
    source = content.get("source_credentials")
    if not isinstance(source, dict) or source.get("type") not in {"authorized_user", "service_account"}:
        yield "source_credentials must be of type authorized_user or service_account"
        return
    yield from (f"source_credentials: {problem}" for problem in problems(source))


def _external_account(content: Fields) -> Iterator[str]:
    if not _matches(_TOKEN_URL, content.get("token_url")):
        yield "token_url must be https://sts.googleapis.com/v1/token"
    yield from _impersonation(content, required=False)
    source = content.get("credential_source")
    if not isinstance(source, dict):
        yield "credential_source must be an object"
    elif "environment_id" in source:
        yield from _aws_source(source)
    else:
        yield from _token_source(source)


def _impersonation(content: Fields, *, required: bool) -> Iterator[str]:
    url = content.get("service_account_impersonation_url")
    if (required or url is not None) and not _matches(_IMPERSONATION_URL, url):
        yield (
            "service_account_impersonation_url must be "
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken"
        )


def _token_source(source: Fields) -> Iterator[str]:
    if "executable" in source:
        yield "credential_source.executable would run a program; use a file"
    elif "file" in source and "url" not in source:
        if not isinstance(source["file"], str):
            yield "credential_source.file must be a path"
    elif not _matches(_METADATA_URL, source.get("url")):
        yield "credential_source must be a file, or a url at http://169.254.169.254/ (a metadata service)"


def _aws_source(source: Fields) -> Iterator[str]:
    for field in _METADATA_FIELDS:
        if field in source and not _matches(_METADATA_URL, source[field]):
            yield f"credential_source.{field} must be at http://169.254.169.254/"
    if not _matches(_AWS_VERIFICATION_URL, source.get("regional_cred_verification_url")):
        yield (
            "credential_source.regional_cred_verification_url must be "
            "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        )


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


_CHECKS: dict[str, Callable[[Fields], Iterator[str]]] = {
    "service_account": _service_account,
    "external_account": _external_account,
    "impersonated_service_account": _impersonated,
    "authorized_user": _authorized_user,
}
