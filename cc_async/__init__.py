"""An asyncio client for contacts, lists, tags and bulk jobs of the Constant Contact V3 API."""

import types
import typing
import warnings

from cc_async._version import __version__
from cc_async.client import ConstantContact
from cc_async.codec.plain import to_plain
from cc_async.codec.problems import Problem
from cc_async.errors import (
    ActivityFailedError,
    ActivityTimeoutError,
    ApiError,
    AuthenticationError,
    AuthorizationError,
    BadRequestError,
    BulkQueueFullError,
    ClientClosedError,
    ConflictError,
    ConstantContactError,
    ContactChangedError,
    DecodeError,
    ErrorDetail,
    ImportJournalError,
    InvalidRequestError,
    LockLostError,
    MirrorError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimiterError,
    RateLimitError,
    ReauthorizationRequiredError,
    RequestTimeoutError,
    SegmentNotReadyError,
    ServerError,
    TokenRefreshError,
    TokenStoreError,
    TransportError,
    UnsupportedMediaTypeError,
)
from cc_async.http.call import ApiResponse
from cc_async.http.retry import Idempotency, RetryPolicy
from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Limiter, Turn
from cc_async.oauth.endpoint import AuthorizationRequest, DeviceAuthorization
from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.provider import OAuth2, StaticToken, TokenProvider
from cc_async.oauth.stores import MemoryTokenStore, TokenStore
from cc_async.oauth.token import Token
from cc_async.observer import ObservedCall, ObservedRefresh, Observer
from cc_async.streams.pager import Page, Pager

if typing.TYPE_CHECKING:
    from cc_async.models.account import AccountEmail, AccountSummary, CompanyLogo, PhysicalAddress, UserPrivilege
    from cc_async.models.activities import Activity, ActivityStatus
    from cc_async.models.contact_requests import (
        ContactChanges,
        ContactFields,
        CreateContactRequest,
        CreateOrUpdateContactRequest,
        CustomFieldInput,
        EmailAddressInput,
        EmailAddressUpdate,
        NoteInput,
        PhoneNumberInput,
        SignUpCustomField,
        SignUpSmsChannel,
        SignUpSmsChannelConsent,
        SmsChannelConsentInput,
        SmsChannelInput,
        StreetAddressInput,
        UpdateContactRequest,
    )
    from cc_async.models.contacts import (
        Contact,
        ContactCounts,
        ContactXref,
        CreateOrUpdateContactResult,
        CustomField,
        EmailAddress,
        Note,
        PhoneNumber,
        SmsChannel,
        SmsChannelConsent,
        SmsEngagement,
        SmsEngagementDetails,
        StreetAddress,
    )
    from cc_async.models.custom_fields import (
        CustomFieldCatalog,
        CustomFieldChoice,
        CustomFieldChoiceInput,
        CustomFieldDefinition,
        CustomFieldMetadata,
    )
    from cc_async.models.imports import ImportOutcome, ImportProgress, ImportRow
    from cc_async.models.lists import ContactList, ListXref
    from cc_async.models.segments import Segment
    from cc_async.models.tags import Tag
    from cc_async.resources.bulk.changes_by_id import BulkChange, BulkOutcome
    from cc_async.resources.bulk.exports import Export
    from cc_async.resources.bulk.imports import Import
    from cc_async.resources.contacts.changes import Changes
    from cc_async.resources.contacts.filters import ContactFilters
    from cc_async.resources.contacts.many import ManyOptions
    from cc_async.streams.many import Many, Outcome
    from cc_async.streams.merge import merge

Repeat = Idempotency
"""Deprecated: use `Idempotency`."""

__all__ = [
    "AccountEmail",
    "AccountSummary",
    "Activity",
    "ActivityFailedError",
    "ActivityStatus",
    "ActivityTimeoutError",
    "ApiError",
    "ApiResponse",
    "AuthenticationError",
    "AuthorizationError",
    "AuthorizationRequest",
    "BadRequestError",
    "BulkChange",
    "BulkOutcome",
    "BulkQueueFullError",
    "Changes",
    "ClientClosedError",
    "CompanyLogo",
    "ConflictError",
    "ConstantContact",
    "ConstantContactError",
    "Contact",
    "ContactChangedError",
    "ContactChanges",
    "ContactCounts",
    "ContactFields",
    "ContactFilters",
    "ContactList",
    "ContactXref",
    "CreateContactRequest",
    "CreateOrUpdateContactRequest",
    "CreateOrUpdateContactResult",
    "CustomField",
    "CustomFieldCatalog",
    "CustomFieldChoice",
    "CustomFieldChoiceInput",
    "CustomFieldDefinition",
    "CustomFieldInput",
    "CustomFieldMetadata",
    "DecodeError",
    "DeviceAuthorization",
    "EmailAddress",
    "EmailAddressInput",
    "EmailAddressUpdate",
    "ErrorDetail",
    "Export",
    "FileTokenStore",
    "Idempotency",
    "Import",
    "ImportJournalError",
    "ImportOutcome",
    "ImportProgress",
    "ImportRow",
    "InvalidRequestError",
    "Limiter",
    "ListXref",
    "LockLostError",
    "Many",
    "ManyOptions",
    "MemoryTokenStore",
    "MirrorError",
    "NotFoundError",
    "Note",
    "NoteInput",
    "OAuth2",
    "ObservedCall",
    "ObservedRefresh",
    "Observer",
    "Outcome",
    "Page",
    "Pager",
    "PaginationError",
    "PermissionDeniedError",
    "PhoneNumber",
    "PhoneNumberInput",
    "PhysicalAddress",
    "Problem",
    "QuotaExceededError",
    "RateLimitError",
    "RateLimiter",
    "RateLimiterError",
    "ReauthorizationRequiredError",
    "Repeat",
    "RequestTimeoutError",
    "RetryPolicy",
    "Segment",
    "SegmentNotReadyError",
    "ServerError",
    "SignUpCustomField",
    "SignUpSmsChannel",
    "SignUpSmsChannelConsent",
    "SmsChannel",
    "SmsChannelConsent",
    "SmsChannelConsentInput",
    "SmsChannelInput",
    "SmsEngagement",
    "SmsEngagementDetails",
    "StaticToken",
    "StreetAddress",
    "StreetAddressInput",
    "Tag",
    "Token",
    "TokenProvider",
    "TokenRefreshError",
    "TokenStore",
    "TokenStoreError",
    "TransportError",
    "Turn",
    "UnsupportedMediaTypeError",
    "UpdateContactRequest",
    "UserPrivilege",
    "__version__",
    "merge",
    "to_plain",
]

if not typing.TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> typing.Any:
        """Import models, and the result types of streams and bulk calls, on first use: they take longest."""
        if name == "Session":
            from cc_async.http.session import Session  # only for those who still use it

            warnings.warn("cc_async.Session is private now: use ConstantContact.", DeprecationWarning, stacklevel=2)
            return Session
        for module in _lazy_modules() if name in __all__ else ():
            if name in vars(module):
                return globals().setdefault(name, vars(module)[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _lazy_modules() -> tuple[types.ModuleType, ...]:
    # ruff: noqa: PLC0415  # imported with their first use
    from cc_async.models import (
        account,
        activities,
        contact_requests,
        contacts,
        custom_fields,
        imports,
        lists,
        segments,
        tags,
    )
    from cc_async.resources.bulk import changes_by_id, exports, imports as bulk_imports
    from cc_async.resources.contacts import changes, filters, many as contact_many
    from cc_async.streams import many, merge

    models = (account, activities, contact_requests, contacts, custom_fields, imports, lists, segments, tags)
    return (*models, contact_many, changes_by_id, exports, bulk_imports, changes, filters, many, merge)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
