"""The account behind a token, see https://developer.constantcontact.com/api_guide/account_overview.html."""

from typing import TypeAlias

from cc_async.errors import InvalidRequestError
from cc_async.http.call import Call
from cc_async.http.session import Session
from cc_async.models.account import AccountEmail, AccountSummary, UserPrivilege
from cc_async.resources._checks import StrOrIterable
from cc_async.resources._operation import raw, reads
from cc_async.wire.urls import csv, with_query

_Emails: TypeAlias = list[AccountEmail]
_Privileges: TypeAlias = list[UserPrivilege]


def get_summary(*, extra_fields: StrOrIterable = ()) -> Call[AccountSummary]:
    """GET /account/summary."""
    path = with_query("/account/summary", {"extra_fields": csv("extra_fields", extra_fields) if extra_fields else None})
    return Call(operation="account.summary", method="GET", path=path, parse=reads(AccountSummary))


def get_emails(
    *, confirm_status: str | None = None, role_code: str | None = None, email_address: str | None = None
) -> Call[_Emails]:
    """GET /account/emails."""
    filters = {"confirm_status": confirm_status, "role_code": role_code, "email_address": email_address}
    if sum(value is not None for value in filters.values()) > 1:
        raise InvalidRequestError("The API takes one filter at a time: confirm_status, role_code or email_address.")
    return Call(
        operation="account.emails", method="GET", path=with_query("/account/emails", filters), parse=reads(_Emails)
    )


def get_privileges() -> Call[_Privileges]:
    """GET /account/user/privileges."""
    return Call(operation="account.privileges", method="GET", path="/account/user/privileges", parse=reads(_Privileges))


class Account:
    """The account and the user that the access token belongs to."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def with_http_info(self) -> "AccountWithHttpInfo":
        """The same operations, which return the status code and headers with the data."""
        return AccountWithHttpInfo(self._session)

    async def summary(self, *, extra_fields: StrOrIterable = ()) -> AccountSummary:
        """Return the account and its owner (GET /account/summary).

        `extra_fields` asks for physical_address, company_logo or both. `encoded_account_id` is the stable key of the
        account.

        Raises:
            PermissionDeniedError: The app did not ask for the scope `account_read`, or the user lacks the privilege
                account:read. That says nothing about the token, nor about contacts: `privileges` needs neither, and
                only its AuthenticationError means that the token is no longer valid.

        """
        return (await self._session.request(get_summary(extra_fields=extra_fields))).data

    async def emails(
        self, *, confirm_status: str | None = None, role_code: str | None = None, email_address: str | None = None
    ) -> _Emails:
        """Return the e-mail addresses that the account can send from (GET /account/emails).

        The API takes one filter at a time: a `confirm_status` (CONFIRMED or UNCONFIRMED), a `role_code` (CONTACT,
        BILLING, JOURNALING, REPLY_TO or OTHER), or an `email_address`.

        Raises:
            PermissionDeniedError: As for `summary`.

        """
        call = get_emails(confirm_status=confirm_status, role_code=role_code, email_address=email_address)
        return (await self._session.request(call)).data

    async def privileges(self) -> _Privileges:
        """Return what the user behind the token may do (GET /account/user/privileges).

        Needs no scope and no privilege, so it succeeds for every valid token. Contacts need `contacts:read` and
        `contacts:write`, lists and segments `contacts:lists:read` and `contacts:lists:write`.

        Raises:
            AuthenticationError: The token is not valid.

        """
        return (await self._session.request(get_privileges())).data


class AccountWithHttpInfo:
    """The operations of `Account`, each with the status code and the headers of its response."""

    def __init__(self, session: Session) -> None:
        self._session = session

    summary = raw(get_summary)
    emails = raw(get_emails)
    privileges = raw(get_privileges)
