"""Rows of a bulk import, and what became of them.

A row is flat and has a vocabulary of its own: it is not a contact. See
https://developer.constantcontact.com/api_guide/import_contacts.html.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

import attrs

from cc_async.models._types import mask
from cc_async.models.activities import Activity, ActivityStatus

ImportValue = str | int | float | bool | date | datetime | None
"""What a field of a row may hold; None and blank strings are not sent."""


@attrs.frozen(kw_only=True)
class ImportRow:
    """One contact of a bulk import: an `email`, an `sms_number`, or both, and what else is to be set.

        rows = [ImportRow(email="ada@example.com", first_name="Ada")]
        async for outcome in cc.contacts.import_many(rows, list_ids=[list_id]):
            print(outcome.state)

    What is None or blank is not sent, so the contact keeps what it has. Give at most three phone numbers and three
    addresses. A plain `phone` is of the kind "other"; a plain address is of the kind "home".
    """

    email: str | None = attrs.field(default=None, repr=mask)
    sms_number: str | None = attrs.field(default=None, repr=mask)
    """A number in the United States: 1231231234 or 123-123-1234."""
    first_name: str | None = None
    last_name: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    birthday_month: int | str | None = None
    """Only together with `birthday_day`."""
    birthday_day: int | str | None = None
    anniversary: str | date | None = None
    phone: str | None = attrs.field(default=None, repr=mask)
    home_phone: str | None = attrs.field(default=None, repr=mask)
    work_phone: str | None = attrs.field(default=None, repr=mask)
    mobile_phone: str | None = attrs.field(default=None, repr=mask)
    other_phone: str | None = attrs.field(default=None, repr=mask)
    street: str | None = None
    street2: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None
    home_street: str | None = None
    home_street2: str | None = None
    home_city: str | None = None
    home_state: str | None = None
    home_zip: str | None = None
    home_country: str | None = None
    work_street: str | None = None
    work_street2: str | None = None
    work_city: str | None = None
    work_state: str | None = None
    work_zip: str | None = None
    work_country: str | None = None
    other_street: str | None = None
    other_street2: str | None = None
    other_city: str | None = None
    other_state: str | None = None
    other_zip: str | None = None
    other_country: str | None = None
    sms_consent_date: str | date | None = None
    """Needed to message the contact when the import says `sms_permission_to_send="explicit"`."""
    custom_fields: Mapping[str, ImportValue] | None = None
    """Values by the label or the name of the custom field, which must exist."""


@attrs.frozen(kw_only=True)
class ImportOutcome:
    """The outcome of one job of an import, or of one row that could not be sent.

    Positions count the rows given to `import_many` from 0. See `Import`.
    """

    first: int
    """Position of the first row of the job."""
    last: int
    """Position of its last row; rows between that were rejected or came again later are not in the job."""
    sent: int
    """How many rows the job holds; 0 for a row that could not be sent."""
    state: Literal["done", "partial", "failed", "unknown"]
    """partial: completed, but the provider counted errors or contacts that it could not add to the lists. unknown:
    the job may have been started, but it could not be found or did not finish before the deadline."""
    activity: Activity | None = None
    """The job as it was last seen; None where nothing was started, or nothing is known of it."""
    errors: tuple[str, ...] = ()
    """The provider's own error messages."""
    rows: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict, repr=lambda rows: f"<{len(rows)} rows>")
    """The messages that name a line, by the position of the row: a hint only, because the line numbers are not
    documented."""
    error: Exception | None = None
    """Why the rows were not sent, or why nothing is known of the job."""

    @property
    def counts(self) -> ActivityStatus | None:
        """What the provider counted; every counter may be missing."""
        return None if self.activity is None else self.activity.status


@attrs.frozen(kw_only=True)
class ImportProgress:
    """How far an import has come. See `Import.progress`."""

    rows_read: int
    total: int | None
    """How many rows there are in all; None until all of them have been read."""
    rejected: int
    """Rows that could not be sent; each has an outcome of its own."""
    duplicates: int
    """Rows left out because a later one has the same address."""
    handed_over: int
    """Rows in jobs that the provider has accepted."""
    finished: int
    """Rows in jobs that have ended."""
    jobs_started: int
    jobs_finished: int
