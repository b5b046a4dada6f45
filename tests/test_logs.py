"""What is logged, and what never is: secrets by their key or shape, the words of libraries, and tracebacks."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import structlog

from rotator import logs
from rotator.model import MASK, SecretText
from rotator.sandbox.cloud import jwt, random_text

ECR_TOKEN = random_text(2400)
GOOGLE_TOKEN = f"ya29.c.{random_text(900)}"
SECRET_KEYS = ["password", "PASSWORD", "passwd", "token", "access_token", "refreshToken", "Authorization"]
SECRET_KEYS += ["client_assertion", "private_key", "privateKey", "secret_value", "secret_text", "credential_value"]
SDKS = ["azure.identity", "botocore.parsers", "google.auth.transport", "kubernetes.client.rest", "msal", "urllib3"]
JWT = jwt({"aud": "contoso.azurecr.io", "exp": 1})


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged, from debug on, as JSON; afterwards all is as pytest had it."""
    root, hooks = logging.getLogger(), (sys.excepthook, sys.unraisablehook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    sdks = {name.partition(".")[0]: logging.getLogger(name.partition(".")[0]) for name in (*SDKS, "boto3", "requests")}
    levels = {name: logger.level for name, logger in sdks.items()}
    written = io.StringIO()
    logs.configure("debug", "json", written)
    yield written
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, logger in sdks.items():
        logger.setLevel(levels[name])
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


def only_event(stream: io.StringIO) -> dict[str, Any]:
    """The one line that was logged."""
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)  # type: ignore[no-any-return]


def test_an_event_is_one_line_of_json_with_its_name_level_and_time_in_utc(stream: io.StringIO) -> None:
    """Fixed keys for whoever searches the logs; a message that holds a line break is still one line."""
    structlog.get_logger("rotator.test").warning("secret.contested", namespace="team-a", message="one\ntwo")
    event = only_event(stream)
    assert list(event) == ["namespace", "message", "event", "level", "time"]
    assert (event["event"], event["level"], event["message"]) == ("secret.contested", "warning", "one\ntwo")
    assert event["time"].endswith("Z")


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_what_stands_under_a_key_of_secrets_is_masked_whatever_its_shape(stream: io.StringIO, key: str) -> None:
    """Short passwords have no shape that a pattern could find."""
    structlog.get_logger().info("mint.failed", **{key: "hunter2"})
    assert only_event(stream)[key] == MASK


@pytest.mark.parametrize("key", ["secret", "registry", "pull_secret", "reason", "credential", "service_account"])
def test_the_fixed_keys_are_not_mistaken_for_secrets(stream: io.StringIO, key: str) -> None:
    """`secret` is the name of a Secret: a log that masked it would say nothing."""
    structlog.get_logger().info("secret.written", **{key: "worker-pull"})
    assert only_event(stream)[key] == "worker-pull"


@pytest.mark.parametrize("token", [JWT, GOOGLE_TOKEN, ECR_TOKEN, random_text(80)], ids=["jwt", "ya29", "ecr", "80"])
def test_what_has_the_shape_of_a_token_is_masked_and_the_words_around_it_stay(stream: io.StringIO, token: str) -> None:
    """A JWT, a Google access token, a long run of base64, alone or inside a message."""
    structlog.get_logger().error("mint.failed", message=f"the server said {token}, and closed", hint=token)
    event = only_event(stream)
    assert event["message"] == f"the server said {MASK}, and closed"
    assert event["hint"] == MASK
    assert token[:40] not in stream.getvalue()


def test_nested_values_are_masked_by_key_and_by_shape(stream: io.StringIO) -> None:
    """Mappings in lists in mappings, tuples and sets, and the key of each."""
    nested = {"headers": [{"Authorization": "Basic QVdTOmh1bnRlcjI="}, ("plain", JWT)], "seen": {GOOGLE_TOKEN}}
    structlog.get_logger().info("pass.finished", answer=nested, count=3, ratio=0.5, nothing=None)
    event = only_event(stream)
    assert event["answer"] == {"headers": [{"Authorization": MASK}, ["plain", MASK]], "seen": [MASK]}
    assert (event["count"], event["ratio"], event["nothing"]) == (3, 0.5, None)


def test_objects_are_masked_by_their_type_and_bytes_by_their_shape(stream: io.StringIO) -> None:
    """A SecretText prints its mask; whatever else is no JSON is turned into text, and that is masked too."""
    structlog.get_logger().info("credential.minted", value=SecretText("hunter2"), raw=ECR_TOKEN.encode())
    event = only_event(stream)
    assert event["value"] == MASK
    assert ECR_TOKEN[:40] not in event["raw"]


@pytest.mark.parametrize("text", ["a" * 63, "sha256:" + "0" * 64, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"])
def test_names_digests_and_hosts_are_not_masked(stream: io.StringIO, text: str) -> None:
    """The longest name of Kubernetes, a digest and a host: what a reader of the log searches for."""
    structlog.get_logger().info("secret.written", message=text)
    assert only_event(stream)["message"] == text


def test_an_exception_as_a_value_says_its_class_and_not_its_words(stream: io.StringIO) -> None:
    """An SDK's error repeats the server's answer; so would `exc_info`, and a traceback."""
    try:
        raise ValueError("the server said hunter2")  # noqa: EM101, TRY003, TRY301  (an SDK's words)
    except ValueError as error:
        structlog.get_logger().error("mint.failed", error=error, exc_info=error)
    event = only_event(stream)
    assert event["error"] == "ValueError"
    assert "hunter2" not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_exc_info_prints_no_traceback_in_either_form(stream: io.StringIO, form: logs.LogFormat) -> None:
    """No event of ours carries one; one that did would print chained SDK errors."""
    logs.configure("debug", form, stream)
    try:
        raise ValueError("the server said hunter2")  # noqa: EM101, TRY003, TRY301  (an SDK's words)
    except ValueError:
        structlog.get_logger().exception("mint.failed", registry="prod")
    assert "prod" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


@pytest.mark.parametrize("library", SDKS)
def test_the_sdks_say_nothing(stream: io.StringIO, library: str) -> None:
    """What fails in them reaches us as an exception, which is reported in our words."""
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger(library).log(level, "Response body: %s", "hunter2")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
@pytest.mark.parametrize("library", ["azure.identity._internal.decorators", "botocore.parsers", "urllib3.connection"])
def test_an_sdk_that_is_made_to_speak_is_not_repeated(stream: io.StringIO, library: str, level: int) -> None:
    """boto3 prints tokens at DEBUG, azure-identity the server's answer at WARNING; a library may set its own level."""
    logger = logging.getLogger(library)
    logger.setLevel(level)
    try:
        logger.log(level, "Response body: %s", "hunter2", extra={"answer": "hunter2"})
    finally:
        logger.setLevel(logging.NOTSET)
    event = only_event(stream)
    assert (event["event"], event["library"], event["level"]) == ("library.logged", library, "warning")
    assert event["severity"] == logging.getLevelName(level).lower()
    assert isinstance(event["line"], int)
    assert "hunter2" not in stream.getvalue()


def test_other_libraries_are_named_when_they_warn_and_silent_below(stream: io.StringIO) -> None:
    """`--log-level debug` is about rotator: a library's debug log would drown it."""
    logger = logging.getLogger("apscheduler.scheduler")
    logger.debug("Looking for jobs to run: hunter2")
    logger.info("Added job: hunter2")
    assert stream.getvalue() == ""
    logger.warning("Run time of job was missed: hunter2")
    assert only_event(stream)["library"] == "apscheduler.scheduler"
    assert "hunter2" not in stream.getvalue()


def test_a_warning_of_a_library_is_logged_as_one(stream: io.StringIO) -> None:
    """Python would print it on standard error, between the lines of JSON, with the line of source that raised it."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logs.configure("debug", "json", stream)
        warnings.warn("end user credentials: hunter2", UserWarning, stacklevel=1)
    event = only_event(stream)
    assert (event["event"], event["library"]) == ("library.logged", "py.warnings")
    assert "hunter2" not in stream.getvalue()


def test_no_value_drives_the_terminal(stream: io.StringIO) -> None:
    """In either form, what would is shown as an escape."""
    for form in get_args(logs.LogFormat):
        logs.configure("info", form, stream)
        structlog.get_logger().info("a.test", message="\x1b[2Jgone\u202e", names=["\x1b[31m"])
    found = stream.getvalue()
    assert not set(found) & set("\x1b\u202e")
    assert found.count(r"\x1b[2Jgone\u202e") + found.count(r"\u001b[2Jgone\u202e") == len(get_args(logs.LogFormat))


def test_the_level_is_a_floor(stream: io.StringIO) -> None:
    """At `warning`, neither info nor debug."""
    logs.configure("warning", "json", stream)
    log = structlog.get_logger()
    log.debug("alarm.set")
    log.info("secret.written")
    log.warning("secret.contested")
    assert only_event(stream)["event"] == "secret.contested"


def test_the_console_form_is_one_plain_line_where_there_are_no_colours(stream: io.StringIO) -> None:
    """For a person; without escape codes where the stream is no terminal."""
    logs.configure("info", "console", stream)
    structlog.get_logger().info("secret.written", namespace="team-a", token="hunter2")
    (line,) = stream.getvalue().splitlines()
    assert "secret.written" in line
    assert "namespace=team-a" in line
    assert "\x1b" not in line
    assert "hunter2" not in line


# Unexpected errors ----------------------------------------------------------------------------------------------------


def fail() -> None:
    """Raise what an SDK's defect would."""
    msg = "the server said hunter2"
    raise LookupError(msg)


def test_where_is_the_place_and_not_the_message() -> None:
    """File, line and function of the innermost frame; nothing for an error that was never raised."""
    try:
        fail()
    except LookupError as error:
        place = logs.where(error)
    assert place == f"at test_logs.py:{fail.__code__.co_firstlineno + 3} in fail"
    assert logs.where(ValueError("hunter2")) == ""


@pytest.mark.usefixtures("stream")
def test_an_unexpected_error_is_one_line_with_class_and_place() -> None:
    """In the main thread the interpreter calls `sys.excepthook`."""
    said: list[str] = []
    logs.install_hooks(said.append)
    try:
        fail()
    except LookupError as error:
        sys.excepthook(LookupError, error, error.__traceback__)
    (line,) = said
    assert line.startswith("unexpected LookupError at test_logs.py:")
    assert line.endswith("in fail; please report this")


@pytest.mark.usefixtures("stream")
def test_an_unexpected_error_of_a_thread_is_the_same_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Python's own hook for threads prints the traceback with every chained error's words."""
    said: list[str] = []
    logs.install_hooks(said.append)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    (line,) = said
    assert line.startswith("unexpected LookupError at test_logs.py:")
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("stream")
def test_a_thread_that_ends_itself_is_no_unexpected_error() -> None:
    """SystemExit is how code says that it is done."""
    said: list[str] = []
    logs.install_hooks(said.append)
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert said == []


@pytest.mark.usefixtures("stream")
def test_an_error_that_nobody_can_catch_is_the_same_line(capfd: pytest.CaptureFixture[str]) -> None:
    """What a finalizer raises goes to `sys.unraisablehook`, which prints a traceback too."""

    class Defective:
        def __del__(self) -> None:
            fail()

    said: list[str] = []
    logs.install_hooks(said.append)
    Defective()
    (line,) = said
    assert line.startswith("unexpected LookupError at test_logs.py:")
    assert capfd.readouterr() == ("", "")


ENDING = """
import subprocess
import sys
from rotator import logs
from rotator.cli.ending import say

class Late:
    def __del__(self) -> None:
        raise RuntimeError("too late")

logs.install_hooks(say)
logs.configure("info", "json")
late = Late()
sys.modules["late"] = late
"""


def test_nothing_is_said_while_python_ends() -> None:
    """The modules that it would be said with may be gone by then, and a trace of that would be the last word."""
    done = subprocess.run(  # noqa: S603  (our own program)
        [sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
