"""The account that a token belongs to. Every field of a response may be absent, as for contacts."""

import attrs

from cc_async.models._types import Timestamp, mask


@attrs.frozen(kw_only=True)
class PhysicalAddress:
    """The postal address of the organization, which appears in the footer of its mailings.

    See `AccountSummary.physical_address`.
    """

    address_line1: str | None = None
    address_line2: str | None = None
    address_line3: str | None = None
    city: str | None = None
    state_code: str | None = None
    state_name: str | None = None
    postal_code: str | None = None
    country_code: str | None = None


@attrs.frozen(kw_only=True)
class CompanyLogo:
    """The logo of the organization. See `AccountSummary.company_logo`."""

    url: str | None = None
    external_url: str | None = None
    internal_id: str | None = None


@attrs.frozen(kw_only=True)
class AccountSummary:
    """The account and the person who owns it. See `account.summary`."""

    encoded_account_id: str | None = None
    """The stable key of the account."""
    encoded_partner_id: str | None = None
    organization_name: str | None = None
    organization_phone: str | None = attrs.field(default=None, repr=mask)
    first_name: str | None = None
    last_name: str | None = None
    contact_email: str | None = attrs.field(default=None, repr=mask)
    contact_phone: str | None = attrs.field(default=None, repr=mask)
    country_code: str | None = None
    """In upper or lower case."""
    state_code: str | None = None
    time_zone_id: str | None = None
    """Such as `US/Eastern`."""
    website: str | None = None
    physical_address: PhysicalAddress | None = None
    """None unless `extra_fields` asked for it."""
    company_logo: CompanyLogo | None = None
    """None unless `extra_fields` asked for it."""


@attrs.frozen(kw_only=True)
class AccountEmail:
    """An e-mail address that the account can send from. See `account.emails`."""

    email_id: int | None = None
    email_address: str | None = attrs.field(default=None, repr=mask)
    confirm_status: str | None = None
    """CONFIRMED or UNCONFIRMED; only confirmed addresses can send."""
    confirm_time: Timestamp | None = None
    confirm_source_type: str | None = None
    roles: list[str] | None = None
    """CONTACT, BILLING, JOURNALING, REPLY_TO, OTHER, DEFAULT_FROM and others."""
    pending_roles: list[str] | None = None


@attrs.frozen(kw_only=True)
class UserPrivilege:
    """Something that the user behind the token may do. See `account.privileges`."""

    privilege_id: int | None = None
    privilege_name: str | None = None
    """Such as `contacts:read`, `contacts:write`, `contacts:lists:read` or `contacts:lists:write`."""
