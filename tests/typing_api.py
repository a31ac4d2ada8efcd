"""What a type checker tells users of the package: checked by mypy, run by nobody."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, assert_type

import aiohttp

from cc_async import (
    AccountEmail,
    AccountSummary,
    Activity,
    ApiError,
    ApiResponse,
    ConflictError,
    ConstantContact,
    Contact,
    ContactCounts,
    ContactList,
    ContactXref,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    CreateOrUpdateContactResult,
    CustomFieldDefinition,
    EmailAddress,
    EmailAddressInput,
    FileTokenStore,
    ListXref,
    OAuth2,
    Page,
    Pager,
    Problem,
    QuotaExceededError,
    RateLimiter,
    RetryPolicy,
    Segment,
    SmsEngagement,
    Tag,
    Token,
    TokenStore,
    UpdateContactRequest,
    UserPrivilege,
    merge,
)


class Provider:
    """Any object with this method is a source of tokens."""

    async def token(self, rejected: str | None = None) -> str:
        return rejected or "t"


class Store:
    """Any object with these methods keeps tokens."""

    async def load(self) -> Token | None:
        return None

    async def save(self, token: Token) -> None:
        raise NotImplementedError(token)

    def lock(self) -> Any:
        raise NotImplementedError


async def clients(session: aiohttp.ClientSession) -> None:
    ConstantContact("an access token")
    ConstantContact(Provider())
    store: TokenStore = Store()
    auth = OAuth2("id", client_secret="s", refresh_token="r", store=store)
    ConstantContact(
        auth, client_session=session, rate_limiter=RateLimiter(), retry=RetryPolicy(attempts=2), strict=True
    )
    ConstantContact(OAuth2("id", store=FileTokenStore("token.json")), base_url="http://localhost:1/v3", timeout=5)
    ConstantContact(7)  # type: ignore[arg-type]  # no source of tokens
    ConstantContact("t", "https://api.cc.email/v3")  # type: ignore[call-arg]  # a keyword, so that it can grow
    async with ConstantContact("t") as cc:
        assert_type(cc, ConstantContact)


async def operations(cc: ConstantContact) -> None:
    create = CreateContactRequest(create_source="Account", email_address=EmailAddressInput(address="a@b.example"))
    sign_up = CreateOrUpdateContactRequest(list_memberships=("a",), email_address="a@b.example")
    update = UpdateContactRequest(update_source="Account", list_memberships=[])
    assert_type(await cc.contacts.create(create), Contact)
    assert_type(await cc.contacts.create_or_update(sign_up), CreateOrUpdateContactResult)
    assert_type(await cc.contacts.get("a", include=["notes"]), Contact)
    assert_type(await cc.contacts.get("a", include="notes"), Contact)
    assert_type(await cc.contacts.counts(new_subscribers=True), ContactCounts)
    assert_type(await cc.contacts.id_xrefs([1, "2"]), list[ContactXref])
    assert_type(await cc.contacts.id_xrefs("1,2"), list[ContactXref])
    assert_type(await cc.contacts.sms_engagement_history("a"), list[SmsEngagement])
    assert_type(await cc.contacts.update("a", update), Contact)
    await cc.contacts.delete("a")
    await cc.contacts.resubscribe("a", ["b"])
    await cc.contacts.create(update)  # type: ignore[arg-type]  # the two bodies are not the same
    await cc.contacts.create_or_update(create)  # type: ignore[arg-type]  # nor is the third


async def operations_with_http_info(cc: ConstantContact) -> None:
    info = cc.contacts.with_http_info
    response = await info.get("a")
    assert_type(response, ApiResponse[Contact])
    assert_type(response.data, Contact)
    assert_type(response.status, int)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.problems, tuple[Problem, ...])
    data, status, headers = response
    assert_type((data, status, headers), tuple[Contact, int, Mapping[str, str]])
    assert_type(await info.delete("a"), ApiResponse[None])
    assert_type(await info.resubscribe("a", ["b"]), ApiResponse[None])
    assert_type(await info.counts(), ApiResponse[ContactCounts])
    assert_type(await info.id_xrefs([1]), ApiResponse[list[ContactXref]])
    assert_type(await info.sms_engagement_history("a"), ApiResponse[list[SmsEngagement]])
    assert_type(await info.list(status="all"), Page[Contact])
    assert_type(await cc.request("GET", "/contact_lists", params={"limit": 1}), ApiResponse[Any])


async def streams(cc: ConstantContact) -> None:
    pager = cc.contacts.list(
        status=["all"], updated_after=datetime.now(UTC), updated_before="2024-01-01T00:00:00Z", limit=5, segment_id=7
    )
    assert_type(pager, Pager[Contact])
    async for contact in pager:
        assert_type(contact, Contact)
    async for page in pager.pages():
        assert_type(page, Page[Contact])
        assert_type(page.items, list[Contact])
        assert_type(page.next_url, str | None)
        assert_type(page.total, int | None)
        assert_type(page.problems, tuple[Problem, ...])
    assert_type(await pager.collect(max_items=5), list[Contact])
    assert_type(await pager.first(), Contact | None)
    async with pager as same:
        assert_type(same, Pager[Contact])
    async for contact in merge(pager, cc.contacts.list(lists=["a"])):
        assert_type(contact, Contact)
    iterator: AsyncIterator[Contact] = aiter(pager)
    assert_type(await anext(iterator), Contact)
    newsletter, vip = ContactList(list_id="a"), Tag(tag_id="b")
    cc.contacts.list(lists=[newsletter, "c"], tags=vip, segment_id=Segment(segment_id=1))
    await cc.contacts.patch("a", add_lists=[newsletter], remove_tags=vip, list_memberships=[newsletter, "c"])
    cc.contacts.list(stauts="all")  # type: ignore[call-arg]  # a misspelling is seen
    cc.contacts.list(limit="5")  # type: ignore[arg-type]  # and so is a wrong type


def models(contact: Contact) -> None:
    assert_type(contact.contact_id, str | None)
    assert_type(contact.email_address, EmailAddress | None)
    assert_type(contact.created_at, datetime | None)
    assert_type(contact.deleted_at, date | None)
    assert_type(contact.list_memberships, list[str] | None)
    for field in contact.custom_fields or ():
        assert_type(field.choice_ids, list[int | str] | None)
    contact.first_name = "x"  # type: ignore[misc]  # frozen
    Contact("x")  # type: ignore[call-arg]  # keywords only


def errors(error: ApiError) -> None:
    assert_type(error.status, int)
    assert_type(error.error_key, str | None)
    assert_type(error.headers, Mapping[str, str])
    assert_type(error.request_id, str | None)
    assert_type(error.maybe_applied, bool)
    if isinstance(error, ConflictError):
        assert_type(error.contact_id, str | None)
    if isinstance(error, QuotaExceededError):
        assert_type(error.resets_at, datetime)
        assert_type(error.retry_after, float | None)


async def neighbours(cc: ConstantContact) -> None:
    assert_type(cc.lists.list(status="all"), Pager[ContactList])
    assert_type(cc.lists.list_every_channel(), merge[ContactList])
    assert_type(await cc.lists.create("News"), ContactList)
    assert_type(await cc.lists.find("News"), ContactList | None)
    assert_type(await cc.lists.get_or_create("News"), ContactList)
    assert_type(await cc.lists.patch("a", favorite=True), ContactList)
    assert_type(await cc.lists.delete(ContactList()), Activity)
    assert_type(await cc.lists.id_xrefs([1, "2"]), list[ListXref])
    assert_type(await cc.lists.with_http_info.list(), Page[ContactList])
    assert_type(await cc.lists.with_http_info.get("a", include_membership_count="all"), ApiResponse[ContactList])
    assert_type(cc.tags.list(), Pager[Tag])
    assert_type(await cc.tags.update(Tag(), "Gold"), Tag)
    assert_type(await cc.tags.with_http_info.delete("a"), ApiResponse[Activity])
    assert_type(cc.custom_fields.list(), Pager[CustomFieldDefinition])
    assert_type(await cc.custom_fields.find("Age"), CustomFieldDefinition | None)
    assert_type((await cc.custom_fields.catalog()).values(Contact()), dict[str, str | list[str] | None])
    assert_type(await cc.custom_fields.with_http_info.delete("a"), ApiResponse[None])
    assert_type(cc.segments.list(), Pager[Segment])
    assert_type(await cc.segments.create("Active", {"version": "1.0.0"}), Segment)
    assert_type(await cc.segments.with_http_info.rename(1, "b"), ApiResponse[Segment])
    assert_type(await cc.account.summary(extra_fields="company_logo"), AccountSummary)
    assert_type(await cc.account.emails(), list[AccountEmail])
    assert_type(await cc.account.with_http_info.privileges(), ApiResponse[list[UserPrivilege]])
    assert_type(cc.activities.list("completed"), Pager[Activity])
    assert_type(await cc.activities.wait("a", timeout=60), Activity)
    assert_type(await cc.activities.add_tags(Tag(), in_lists=[ContactList(), "a"]), Activity)
    assert_type(await cc.activities.with_http_info.import_contacts([{"email": "a"}], "b"), ApiResponse[Activity])
