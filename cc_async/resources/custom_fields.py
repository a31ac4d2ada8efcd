"""The custom fields of an account, see https://developer.constantcontact.com/api_guide/custom_fields_overview.html."""

from collections.abc import Iterable
from typing import TypeAlias

import attrs

from cc_async.codec.decode import dumps
from cc_async.errors import InvalidRequestError
from cc_async.http.call import Call
from cc_async.http.retry import Idempotency
from cc_async.http.session import Session
from cc_async.models.custom_fields import (
    CustomFieldCatalog,
    CustomFieldChoiceInput,
    CustomFieldDefinition,
    CustomFieldMetadata,
)
from cc_async.resources._checks import checked_text, id_of, page_params, read_for_update
from cc_async.resources._collection import stream
from cc_async.resources._operation import deletion, first_page, raw, reads
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Page, Pager
from cc_async.wire.urls import quote_segment

FieldId: TypeAlias = str | CustomFieldDefinition
Choices: TypeAlias = Iterable[str | CustomFieldChoiceInput]
_FIELDS = Collection(
    operation="custom_fields.list",
    path="/contact_custom_fields",
    items="custom_fields",
    model=CustomFieldDefinition,
    key=lambda field: field.custom_field_id,
)


@attrs.frozen(kw_only=True)
class _Body:
    label: str
    type: str | None = None
    metadata: CustomFieldMetadata | None = None
    choices: list[CustomFieldChoiceInput] | None = None
    version: int | None = None


def _path(custom_field_id: FieldId) -> str:
    return f"/contact_custom_fields/{quote_segment(id_of(custom_field_id, 'custom_field_id'))}"


def _label(label: str) -> str:
    return checked_text("The label of a custom field", label, at_most=50)


def _choices(choices: Choices | None) -> list[CustomFieldChoiceInput] | None:
    if choices is None:
        return None
    if isinstance(choices, str):
        raise InvalidRequestError("choices must be several, each as an entry of a list: a string is one.")
    return [
        CustomFieldChoiceInput(choice_label=choice, display_order=place) if isinstance(choice, str) else choice
        for place, choice in enumerate(choices, 1)
    ]


def create_custom_field(
    label: str,
    type: str,  # noqa: A002  # the API's name
    *,
    choices: Choices | None = None,
    metadata: CustomFieldMetadata | None = None,
    version: int | None = None,
) -> Call[CustomFieldDefinition]:
    """POST /contact_custom_fields."""
    body = _Body(
        label=_label(label),
        type=checked_text("The type of a custom field", type),
        metadata=metadata,
        choices=_choices(choices),
        version=version,
    )
    return Call(
        operation="custom_fields.create",
        method="POST",
        path="/contact_custom_fields",
        body=dumps(body),
        parse=reads(CustomFieldDefinition),
    )


def get_custom_field(custom_field_id: FieldId) -> Call[CustomFieldDefinition]:
    """GET /contact_custom_fields/{custom_field_id}."""
    return Call(
        operation="custom_fields.get", method="GET", path=_path(custom_field_id), parse=reads(CustomFieldDefinition)
    )


def update_custom_field(
    custom_field_id: FieldId, label: str, *, choices: Choices | None = None
) -> Call[CustomFieldDefinition]:
    """PUT /contact_custom_fields/{custom_field_id}."""
    body = dumps(_Body(label=_label(label), choices=_choices(choices)))
    path, parse = _path(custom_field_id), reads(CustomFieldDefinition)
    return Call(
        operation="custom_fields.update", method="PUT", path=path, body=body, parse=parse, idempotency=Idempotency.SAFE
    )


def delete_custom_field(custom_field_id: FieldId) -> Call[None]:
    """DELETE /contact_custom_fields/{custom_field_id}."""
    return deletion("custom_fields.delete", _path(custom_field_id))


class CustomFields:
    """The custom fields that an account defines: at most 100, with unique labels.

    Methods that take the id of a field also take a `CustomFieldDefinition`; `CustomField` is the value of one contact.
    `choices` are the labels of the options of a select type, in their order, or `CustomFieldChoiceInput` objects.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def with_http_info(self) -> "CustomFieldsWithHttpInfo":
        """The same operations, which return the status code and headers with the data."""
        return CustomFieldsWithHttpInfo(self._session)

    def list(self, *, limit: int = 100, start: str | None = None) -> Pager[CustomFieldDefinition]:
        """Stream all custom fields (GET /contact_custom_fields); a newly created one may still be missing.

        `limit` is the page size, 1 to 100. `start` is the `next_url` of a page to continue after.
        """
        return _stream(self._session, limit, start)

    async def create(
        self,
        label: str,
        type: str,  # noqa: A002  # the API's name
        *,
        choices: Choices | None = None,
        metadata: CustomFieldMetadata | None = None,
        version: int | None = None,
    ) -> CustomFieldDefinition:
        """Create a custom field (POST /contact_custom_fields); not repeated once it may have been applied.

        `type` is string, text_area, number, currency, boolean, date, datetime, single_select or multi_select, and never
        changes. The selects need `choices`, and `metadata` with a `display_type`: dropdown (up to 100 choices),
        checkbox or radio (up to 20). With `version` 2, dates are dates rather than strings.

        Raises:
            ConflictError: A field has this label.

        """
        call = create_custom_field(label, type, choices=choices, metadata=metadata, version=version)
        return (await self._session.request(call)).data

    async def get(self, custom_field_id: FieldId) -> CustomFieldDefinition:
        """Return a custom field (GET /contact_custom_fields/{custom_field_id})."""
        return (await self._session.request(get_custom_field(custom_field_id))).data

    async def update(
        self, custom_field_id: FieldId, label: str, *, choices: Choices | None = None
    ) -> CustomFieldDefinition:
        """Replace a custom field (PUT /contact_custom_fields/{custom_field_id}); `patch` keeps what is not given.

        What is left out becomes null. A choice without its `choice_id` is a new one, and contacts lose the old one. A
        new label also changes the `name`, which imports address the field by.
        """
        return (await self._session.request(update_custom_field(custom_field_id, label, choices=choices))).data

    async def patch(
        self, custom_field_id: FieldId, *, label: str | None = None, choices: Choices | None = None
    ) -> CustomFieldDefinition:
        """Change what is given and keep the rest: two requests, GET and PUT.

        `choices` replaces the options; those with a label that the field has already keep their ids, so that the
        contacts that chose them keep them too.
        """
        now = await read_for_update(self._session, get_custom_field(custom_field_id), "label", "choices")
        known = {
            choice.choice_label: CustomFieldChoiceInput(
                choice_label=choice.choice_label, choice_id=choice.choice_id, display_order=choice.display_order
            )
            for choice in now.choices or ()
            if choice.choice_label is not None and choice.deleted_at is None
        }
        kept = None if now.choices is None else list(known.values())
        wanted = kept if choices is None else [_with_id(choice, known) for choice in _choices(choices) or ()]
        return await self.update(custom_field_id, label if label is not None else now.label or "", choices=wanted)

    async def delete(self, custom_field_id: FieldId) -> None:
        """Delete a custom field with its values (DELETE /contact_custom_fields/{custom_field_id})."""
        await self._session.request(delete_custom_field(custom_field_id))

    async def find(self, label_or_name: str) -> CustomFieldDefinition | None:
        """Return the field with this label, else with this name, else one that differs in case only, else None.

        Reads the custom fields: one request for 100.
        """
        return (await self.catalog()).find(label_or_name)

    async def catalog(self) -> CustomFieldCatalog:
        """Return all custom fields, to read the values of contacts by label: one request for 100 fields.

        ::

            catalog = await cc.custom_fields.catalog()
            async for contact in cc.contacts.list(include="custom_fields"):
                print(catalog.values(contact).get("Favorite fruit"))
        """
        return CustomFieldCatalog(tuple(await self.list().collect()))


def _with_id(choice: CustomFieldChoiceInput, known: dict[str, CustomFieldChoiceInput]) -> CustomFieldChoiceInput:
    old = known.get(choice.choice_label)
    return choice if choice.choice_id is not None or old is None else attrs.evolve(choice, choice_id=old.choice_id)


class CustomFieldsWithHttpInfo:
    """The operations of `CustomFields`, each with the status code and the headers of its response."""

    def __init__(self, session: Session) -> None:
        self._session = session

    create = raw(create_custom_field)
    get = raw(get_custom_field)
    update = raw(update_custom_field)
    delete = raw(delete_custom_field)

    async def list(self, *, limit: int = 100, start: str | None = None) -> Page[CustomFieldDefinition]:
        """Return the first page of `CustomFields.list`."""
        return await first_page(_stream(self._session, limit, start))


def _stream(session: Session, limit: int, start: str | None) -> Pager[CustomFieldDefinition]:
    return stream(session, _FIELDS, page_params(start, limit, 100), start=start, read_ahead=0)
