"""Custom fields as an account defines them. Every field of a response may be absent, as for contacts."""

from datetime import date

import attrs

from cc_async.models._types import Timestamp
from cc_async.models.contacts import Contact


@attrs.frozen(kw_only=True)
class CustomFieldMetadata:
    """How the values of a custom field are entered and shown; the API reads and writes it alike.

    See `CustomFieldDefinition.metadata`.
    """

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
    """One of the options of a custom field of a select type. See `CustomFieldDefinition.choices`."""

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
    """An option to give to a custom field of a select type. See `custom_fields.create`."""

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


@attrs.frozen
class CustomFieldCatalog:
    """All custom fields of an account, to read the values of contacts by label without further requests.

    For example:

        catalog = await cc.custom_fields.catalog()
        async for contact in cc.contacts.list(include=["custom_fields"]):
            print(catalog.values(contact))
    """

    fields: tuple[CustomFieldDefinition, ...]

    def find(self, label_or_name: str) -> CustomFieldDefinition | None:
        """Return the field with this label, else with this name, else one that differs from either in case only."""
        folded = label_or_name.casefold()
        found: dict[int, CustomFieldDefinition] = {}
        for field in self.fields:
            label, name = field.label or "", field.name or ""
            ranks = (label == label_or_name, name == label_or_name, folded in (label.casefold(), name.casefold()))
            if any(ranks):
                found.setdefault(ranks.index(True), field)
        return found[min(found)] if found else None

    def values(self, contact: Contact) -> dict[str, str | list[str] | None]:
        """Return the values of a contact by label; the contact must have been read with `include=["custom_fields"]`.

        Chosen options appear with their labels: one string for a single_select, a list for a multi_select. Fields that
        the contact has no value in are missing. A field or an option that the catalog does not know, because it is
        newer or was deleted, appears with its id.
        """
        known = {field.custom_field_id: field for field in self.fields}
        values: dict[str, str | list[str] | None] = {}
        for given in contact.custom_fields or ():
            field = known.get(given.custom_field_id) or CustomFieldDefinition(custom_field_id=given.custom_field_id)
            values[field.label or given.custom_field_id or ""] = given.value
            if given.choice_ids:
                labels = {str(choice.choice_id): choice.choice_label for choice in field.choices or ()}
                chosen = [labels.get(str(choice_id)) or str(choice_id) for choice_id in given.choice_ids]
                single = field.type == "single_select" and len(chosen) == 1
                values[field.label or given.custom_field_id or ""] = chosen[0] if single else chosen
        return values
