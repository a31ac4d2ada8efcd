"""Custom fields as an account defines them. Every field of a response may be absent, as for contacts."""

from datetime import date

import attrs

from cc_async.models._types import Timestamp


@attrs.frozen(kw_only=True)
class CustomFieldMetadata:
    """How the values of a custom field are entered and shown; the API reads and writes it alike."""

    display_type: str | None = None
    """dropdown, checkbox or radio; the types with choices need one."""
    allow_negative: bool | None = None
    decimal_places: int | None = None
    """1 to 4, unless `integer`."""
    integer: bool | None = None
    currency_code: str | None = None
    display_format: str | None = None
    """How dates are shown, such as `MM/DD/YYYY`."""


@attrs.frozen(kw_only=True)
class CustomFieldChoice:
    """One of the options of a custom field of a select type."""

    custom_field_id: str | None = None
    choice_id: int | str | None = None
    """A number or a string; contacts refer to it in `choice_ids`."""
    choice_label: str | None = None
    display_order: int | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    deleted_at: date | None = None


@attrs.frozen(kw_only=True)
class CustomFieldChoiceInput:
    """An option to give to a custom field of a select type."""

    choice_label: str
    choice_id: int | str | None = None
    """The id of an option that the field has; without it the option is a new one."""
    display_order: int | None = None


@attrs.frozen(kw_only=True)
class CustomFieldDefinition:
    """A custom field of the account; `CustomField` is the value that one contact has in it."""

    custom_field_id: str | None = None
    label: str | None = None
    """What people see; unique within the account."""
    name: str | None = None
    """Derived from the label by the API, anew whenever the label changes; imports address the field by it."""
    type: str | None = None
    """string, text_area, number, currency, boolean, date, datetime, single_select or multi_select; never changes."""
    metadata: CustomFieldMetadata | None = None
    version: int | None = None
    """1 where dates are plain strings, 2 where they are dates; other types have it too."""
    choices: list[CustomFieldChoice] | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
