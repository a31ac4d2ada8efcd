"""Which column of a file is which field of an import."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from cc_async.cli.exits import USAGE, CommandError
from cc_async.models.custom_fields import CustomFieldCatalog
from cc_async.resources.bulk.rows import KEYS

REASON: Final = "not imported because"
"""The last column of the file of rows that were not imported."""
_LEFT_OUT: Final = {
    *("contact_id", "permission_to_send", "lists", "tags", "notes", "created_at", "updated_at", "deleted_at"),
    *(REASON.replace(" ", "_"), "status", "id"),
}
"""Columns of an export, and of rows to mend, that an import cannot set."""
_ALIASES: Final = {
    "e_mail": "email",
    "mail": "email",
    "email_address": "email",
    "e_mail_address": "email",
    "firstname": "first_name",
    "given_name": "first_name",
    "lastname": "last_name",
    "surname": "last_name",
    "family_name": "last_name",
    "company": "company_name",
    "organization": "company_name",
    "job": "job_title",
    "title": "job_title",
    "telephone": "phone",
    "phone_number": "phone",
    "mobile": "mobile_phone",
    "cell_phone": "mobile_phone",
    "phone_mobile": "mobile_phone",
    "sms": "sms_number",
    "address": "street",
    "street_address": "street",
    "address_line_1": "street",
    "street_address_line_1": "street",
    "address_line_2": "street2",
    "street_address_line_2": "street2",
    "province": "state",
    "state_province": "state",
    "region": "state",
    "zip_code": "zip",
    "postal_code": "zip",
    "postcode": "zip",
    "zip_postal_code": "zip",
}
_KINDS: Final = ("home", "work", "other")


@attrs.frozen
class Mapped:
    """The columns of a file, and the field that each is sent as."""

    fields: Mapping[str, str]
    """The field by the column: a key of `ImportRow`, or `cf:` and the name of a custom field."""
    left_out: Sequence[str]
    """Columns that are not sent."""

    def row(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return a row of an import."""
        return {field: given[column] for column, field in self.fields.items() if column in given}


def map_columns(columns: Iterable[str], maps: Iterable[str], catalog: CustomFieldCatalog) -> Mapped:
    """Find the fields of the columns.

    Raises:
        CommandError: A `--map` names something unknown, two columns are one field, or there is no address.

    """
    given = [*columns]
    told = dict(_told(each, given, catalog) for each in maps)
    fields: dict[str, str] = {}
    left_out: list[str] = []
    for column in given:
        field = told[column] if column in told else _guess(column, catalog)
        if field is None:
            left_out.append(column)
            continue
        if field in fields.values():
            other = next(name for name, known in fields.items() if known == field)
            message = f"The columns {other!r} and {column!r} are both {field}: leave one out with --map {column!r}= ."
            raise CommandError(message, USAGE)
        fields[column] = field
    if not {"email", "sms_number"} & {*fields.values()}:
        raise CommandError("No column is an e-mail address: say which, with --map 'COLUMN=email'.", USAGE)
    return Mapped(fields, left_out)


def _told(text: str, columns: Sequence[str], catalog: CustomFieldCatalog) -> tuple[str, str | None]:
    column, equals, field = text.rpartition("=")
    if not equals or column not in columns:
        raise CommandError(f"--map {text!r}: there is no column {column or text!r}.", USAGE)
    found = _field(field, catalog)
    if field and found is None:
        known = "a field such as email or first_name, nor a custom field of the account"
        raise CommandError(f"--map {text!r}: {field!r} is neither {known}.", USAGE)
    return column, found


def _guess(column: str, catalog: CustomFieldCatalog) -> str | None:
    name = _normal(column)
    return None if name in _LEFT_OUT else _field(column, catalog)


def _field(text: str, catalog: CustomFieldCatalog) -> str | None:
    name = _normal(text)
    known = _ALIASES.get(name, name)
    for kind in _KINDS:
        if name.startswith(f"{kind}_") or name.endswith(f"_{kind}"):  # as in "Home city" and in "City - Home"
            part = name.removeprefix(f"{kind}_").removesuffix(f"_{kind}")
            known = f"{kind}_{_ALIASES.get(part, part)}"
    if known in KEYS:
        return known
    custom = catalog.find(text.strip().removeprefix("cf:").strip())
    return f"cf:{custom.name}" if custom is not None and custom.name else None


def _normal(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.strip().lower()).strip("_")
