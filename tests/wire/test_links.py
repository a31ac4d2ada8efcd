"""Links and paths: what is followed stays within the API, byte for byte; all else is refused."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings, strategies as st
from support.contract_table import BASE_URL
from yarl import URL

from cc_async import DecodeError, InvalidRequestError, PaginationError
from cc_async.wire.links import next_href, resolve_link, resolve_page_link, resolve_path, without_query

UNHURRIED = settings(deadline=None)  # the machine may be busy
BASE = URL(BASE_URL)
LINK_PIECES = st.sampled_from(
    [
        *(
            "/",
            "//",
            "\\",
            "?",
            "#",
            "@",
            ":",
            ".",
            "..",
            "%2e",
            "%2E%2E",
            "%2f",
            "%5c",
            "%76",
            ";",
            " ",
            "\t",
            "\n",
            "é",
        ),
        *("v3", "/v3/", "/v3/contacts", "contacts?cursor=bmV4dD0y", "https:", "http://", "https://", "HTTPS://"),
        *(
            "api.cc.email",
            "API.cc.email",
            ":443",
            ":80",
            "evil.example",
            "user:pass@",
            "javascript:",
            "\0",
            "\ud800",
            "%ff",
        ),
    ]
)
LINKS = st.lists(LINK_PIECES, max_size=8).map("".join) | st.text(max_size=30)


@pytest.mark.parametrize("links", [None, {}, {"next": None}, {"next": {}}, {"next": {"href": None}}, {"self": {}}, []])
def test_no_next_link_is_the_end(links: Any) -> None:
    assert next_href(links) is None


def test_the_next_link_is_read() -> None:
    assert next_href({"next": {"href": "/v3/contacts?cursor=x"}, "of_tomorrow": 1}) == "/v3/contacts?cursor=x"


@pytest.mark.parametrize(
    ("links", "path"),
    [
        ("/v3/contacts", "$._links"),
        ([1], "$._links"),
        (7, "$._links"),
        ({"next": "/v3/contacts"}, "$._links.next"),
        ({"next": ["x"]}, "$._links.next"),
        ({"next": {"href": 7}}, "$._links.next.href"),
        ({"next": {"href": {}}}, "$._links.next.href"),
    ],
)
def test_a_link_that_cannot_be_read_is_not_taken_for_the_end(links: Any, path: str) -> None:
    with pytest.raises(DecodeError, match="link to the next page") as caught:
        next_href(links)
    assert caught.value.path == path
    assert not caught.value.malformed


@pytest.mark.parametrize(
    "href",
    [
        "/v3/contacts?cursor=bGltaXQ9NTAmbmV4dD0y",
        "/v3/contacts?cursor=a%2Fb%2Bc==&limit=50",
        "/v3/contacts?cursor=a+b=%3d%3D&x[]=~!$'()*,",
        "/v3/contacts?cursor=../../&next=https://evil.example/",
        "/v3/contacts/%252e%252e/x",
        "/v3/contacts?x=é",
        "/v3/a//b/./c",
        "/v3/",
    ],
)
def test_a_link_within_the_api_is_kept_byte_for_byte(href: str) -> None:
    assert resolve_link(BASE, href) == href


@pytest.mark.parametrize("origin", ["https://api.cc.email", "https://api.cc.email:443", "HTTPS://API.CC.EMAIL"])
def test_an_absolute_link_of_the_same_origin_is_followed(origin: str) -> None:
    assert resolve_link(BASE, f"{origin}/v3/contacts?cursor=a%2Fb=#part") == "/v3/contacts?cursor=a%2Fb="


def test_links_of_a_local_server_are_followed_too() -> None:
    base = URL("http://127.0.0.1:8080/v3/")
    assert resolve_link(base, "http://127.0.0.1:8080/v3/contacts?cursor=x") == "/v3/contacts?cursor=x"
    assert resolve_link(URL("http://127.0.0.1:8080"), "/contacts?cursor=x") == "/contacts?cursor=x"
    with pytest.raises(PaginationError):
        resolve_link(base, "http://127.0.0.1:8081/v3/contacts")


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.example/v3/contacts",
        "http://api.cc.email/v3/contacts",
        "https://api.cc.email:8443/v3/contacts",
        "https://api.cc.email.evil.example/v3/",
        "https://api.cc.email./v3/contacts",
        "https://api.cc.email@evil.example/v3/",
        "https://user:secret@api.cc.email/v3/contacts",
        "https://@api.cc.email/v3/contacts",
        "//evil.example/v3/contacts",
        "//api.cc.email/v3/contacts",
        "https:/v3/contacts",
        "https:///v3/contacts",
        "https://[/v3/",
        "https://api.cc.email:99999/v3/",
        "javascript:/v3/",
    ],
)
def test_a_link_to_another_server_is_refused(href: str) -> None:
    with pytest.raises(PaginationError, match="another server"):
        resolve_link(BASE, href)


@pytest.mark.parametrize(
    "href",
    [
        "/v3\\evil",
        "/\\evil.example/v3/",
        "https://api.cc.email\\@evil.example/v3/",
        "/v3/contacts\r\nHost: evil.example",
        "/v3/contacts\x00",
        "/v3/contacts?a=\t",
        " /v3/contacts",
        "/v3/contacts?a=\x7f",
        "/v3/contacts?a=\ud800",
        "/v3/contacts?cursor=a b",
    ],
)
def test_a_link_with_a_character_that_no_url_holds_is_refused_by_naming_it(href: str) -> None:
    with pytest.raises(PaginationError, match=r"holds '.*', which no URL may hold"):
        resolve_link(BASE, href)


@pytest.mark.parametrize(
    "href",
    [
        *(
            "",
            "contacts",
            "?cursor=x",
            "#x",
            "/",
            "/v3",
            "/v3?cursor=x",
            "/v3x/contacts",
            "/V3/contacts",
            "/v2/contacts",
        ),
        *("/v3/../v2/contacts", "/v3/%2e%2e/v2", "/v3/%2E./v2", "/v3/a/..%2f..", "/v3/..", "/v3/a%5c..%5cb"),
        *("/%76%33/contacts", "https://api.cc.email", "https://api.cc.email/", "https://api.cc.email?x=/v3/contacts"),
        "https://api.cc.email#/v3/contacts",
    ],
)
def test_a_link_out_of_the_api_is_refused(href: str) -> None:
    with pytest.raises(PaginationError, match="leads out"):
        resolve_link(BASE, href)


@UNHURRIED
@given(LINKS)
@example("https://api.cc.email")
def test_whatever_a_link_is_it_stays_within_the_api_or_is_refused(href: str) -> None:
    try:
        path = resolve_link(BASE, href)
    except PaginationError as refusal:
        f"{refusal} {refusal.url}".encode()
        return
    url = URL(str(BASE.origin()) + path, encoded=True)
    assert url.origin() == BASE.origin()
    assert (url.user, url.password, url.fragment) == (None, None, "")
    assert path.startswith("/v3/")
    assert path in href
    # Normalised as strictly as any program on the way might.
    assert URL(str(BASE.origin()) + unquote(path.partition("?")[0]).replace("?", "")).path.startswith("/v3/")


def test_a_refused_link_shows_neither_its_query_nor_an_address() -> None:
    assert without_query("https://evil.example/ada@example.com?email=x") == "https://evil.example/<address>"
    assert len(without_query("/" + "x" * 999)) == 200


def test_a_path_of_the_user_or_a_link_becomes_a_path_below_the_base() -> None:
    assert resolve_path(BASE, "/contact_lists") == "/contact_lists"
    assert resolve_path(BASE, "/v3/contact_lists?limit=2") == "/contact_lists?limit=2"
    assert resolve_path(BASE, f"{BASE_URL}/contacts?cursor=a%2Fb=", {"include": "notes"}) == (
        "/contacts?cursor=a%2Fb=&include=notes"
    )
    assert resolve_path(BASE, "/contact_tags", {"ids": ["a", "b"]}) == "/contact_tags?ids=a&ids=b"
    assert resolve_path(URL("http://127.0.0.1:1"), "/contacts") == "/contacts"


@pytest.mark.parametrize(
    "path",
    ["contact_lists", "", "?x", "/../v2", "/a b", "/a\n", "https://evil.example/v3/x", "/\ud800"],
)
def test_a_path_that_leads_out_of_the_api_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequestError, match="within the API"):
        resolve_path(BASE, path)


@UNHURRIED
@given(LINKS)
def test_whatever_a_path_is_it_stays_below_the_base_or_is_refused(path: str) -> None:
    try:
        found = resolve_path(BASE, path)
    except InvalidRequestError:
        return
    assert found.startswith("/")
    assert ".." not in unquote(found.partition("?")[0]).split("/")


@pytest.mark.parametrize(
    ("href", "followed"),
    [
        ("/v3/contact_tags?cursor=abc=", "/v3/contact_tags?cursor=abc="),
        ("/contacts-service/v3/accounts/7/contact_tags?cursor=a%2Bb", "/v3/contact_tags?cursor=a%2Bb"),
        ("/contacts-service/v3/accounts/7/contact_tags?limit=2&cursor=ab#x", "/v3/contact_tags?cursor=ab"),
        ("https://api.example.com/internal/contact_tags?cursor=ab", "/v3/contact_tags?cursor=ab"),
    ],
)
def test_of_a_link_into_the_internal_network_only_the_cursor_is_taken(href: str, followed: str) -> None:
    assert resolve_page_link(URL("https://api.example.com/v3"), "/contact_tags", href) == followed


@pytest.mark.parametrize(
    "href",
    [
        "/contacts-service/v3/accounts/7/contact_lists?cursor=ab",
        "/contacts-service/v3/accounts/7/contact_tags",
        "/contacts-service/v3/accounts/7/contact_tags?cursor=",
        "/contacts-service/v3/accounts/7/contact_tags?cursor=a&cursor=b",
        "https://elsewhere.example.com/internal/contact_tags?cursor=ab",
        "//elsewhere.example.com/internal/contact_tags?cursor=ab",
        "/internal\\contact_tags/contact_tags?cursor=ab cd",
    ],
)
def test_no_other_link_out_of_the_api_is_followed(href: str) -> None:
    with pytest.raises(PaginationError):
        resolve_page_link(URL("https://api.example.com/v3"), "/contact_tags", href)
