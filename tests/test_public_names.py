"""What the package shows to its users: every name of the design, sorted, and nothing by accident."""

import inspect
import re
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

import cc_async
from cc_async import models
from cc_async.http.session import Session
from cc_async.models import contact_requests as requests, contacts as contact
from cc_async.sandbox import Sandbox

PROMISED = [
    *("ConstantContact", "OAuth2", "Token", "TokenStore", "MemoryTokenStore", "FileTokenStore"),
    *("RateLimiter", "RetryPolicy", "Pager", "Page", "merge", "ApiResponse", "Contact", "EmailAddress"),
    *("CustomField", "PhoneNumber", "StreetAddress", "Note", "SmsChannel", "SmsChannelConsent", "ContactCounts"),
    *("ContactXref", "SmsEngagement", "CreateContactRequest", "CreateOrUpdateContactRequest"),
    *("CreateOrUpdateContactResult", "UpdateContactRequest", "ConstantContactError", "ApiError"),
    *("BadRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError", "ConflictError"),
    *("UnsupportedMediaTypeError", "RateLimitError", "QuotaExceededError", "ServerError", "TransportError"),
    *("RequestTimeoutError", "AuthorizationError", "TokenRefreshError", "ReauthorizationRequiredError"),
    *("TokenStoreError", "InvalidRequestError", "ClientClosedError", "DecodeError", "PaginationError"),
    *("SegmentNotReadyError",),
]
OPERATIONS = [
    *("create", "create_or_update", "delete", "list", "get", "counts", "id_xrefs", "sms_engagement_history"),
    *("update", "resubscribe"),
]


def test_every_promised_name_can_be_imported() -> None:
    assert set(PROMISED) <= set(cc_async.__all__)


def test_a_name_that_is_private_now_can_still_be_imported_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="Session is private now"):
        assert cc_async.Session is Session  # type: ignore[attr-defined]  # on purpose


def test_the_names_are_sorted_and_each_is_there_once() -> None:
    assert cc_async.__all__ == sorted(set(cc_async.__all__))


def test_nothing_is_public_by_accident() -> None:
    public = {
        name
        for name in dir(cc_async)
        if not name.startswith("_") and not isinstance(getattr(cc_async, name), types.ModuleType)
    }
    assert public == set(cc_async.__all__) - {"__version__"}


def test_every_model_is_public() -> None:
    defined = {
        name
        for module in (contact, requests)
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert defined <= set(cc_async.__all__)
    assert models.__doc__


@pytest.mark.parametrize("name", sorted(set(cc_async.__all__) - {"__version__"}))
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = getattr(cc_async, name)
    assert value.__doc__
    assert re.match(r"[A-Z0-9]", value.__doc__)
    for member, inner in vars(value).items():
        if not member.startswith("_") and inspect.isfunction(inner):
            assert inner.__doc__, f"{name}.{member}"


async def test_the_ten_operations_are_coroutines_and_the_stream_is_lazy() -> None:
    async with cc_async.ConstantContact("t") as cc:
        for name in OPERATIONS:
            assert inspect.iscoroutinefunction(getattr(cc.contacts, name)) == (name != "list")
            assert inspect.iscoroutinefunction(getattr(cc.contacts.with_http_info, name))


def test_everything_tunable_of_the_client_is_a_keyword() -> None:
    parameters = inspect.signature(cc_async.ConstantContact).parameters
    assert next(iter(parameters)) == "auth"
    assert {parameter.kind for name, parameter in parameters.items() if name != "auth"} == {
        inspect.Parameter.KEYWORD_ONLY
    }
    assert {*parameters} >= {"base_url", "client_session", "rate_limiter", "retry", "timeout", "strict"}


def test_the_version_is_that_of_the_distribution() -> None:
    try:
        installed = metadata.distribution("cc-async")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is run from its checkout")
    if Path(str(installed.locate_file("cc_async/__init__.py"))) != Path(cc_async.__file__):
        pytest.skip("another copy of the package is installed than the one under test")
    assert cc_async.__version__ == installed.version


def test_the_sandbox_is_asked_for_by_its_own_name() -> None:
    assert "Sandbox" not in cc_async.__all__
    assert Sandbox.__doc__


def test_a_name_that_does_not_exist_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Kontakt'"):
        _ = cc_async.Kontakt  # type: ignore[attr-defined]  # on purpose


@pytest.mark.parametrize(
    ("name", "needs"), [("redis", "redis"), ("opentelemetry", "opentelemetry"), ("mirror", "sqlalchemy")]
)
def test_a_module_without_its_extra_says_which_it_needs(name: str, needs: str) -> None:
    program = f"import sys; sys.modules[{needs!r}] = None; import cc_async.{name}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603  # ours
    wanted = f"ImportError: cc_async.{name} needs the extra `{name}`: pip install 'cc-async[{name}]'."
    assert run.stderr.splitlines()[-1] == wanted
