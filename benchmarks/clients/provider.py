"""The provider's generated client, with what its users have to add to see more than one page.

`get_all_contacts` takes no cursor, so the further pages are asked for through the lower half of the client, which
builds, sends and reads any request. It asks for uncompressed responses and blocks the thread.
"""

from typing import Any
from urllib.parse import urlsplit

from constant_contact_api_client.api.contacts_api import ContactsApi
from constant_contact_api_client.api_client import ApiClient
from constant_contact_api_client.configuration import Configuration
from constant_contact_api_client.models.get_all_contacts200_response import GetAllContacts200Response

from . import INCLUDE

_TYPES = {"200": "GetAllContacts200Response"}


def decode(body: bytes) -> list[Any]:
    client: Any = ApiClient(Configuration())
    return list(client.deserialize(body.decode(), "GetAllContacts200Response").contacts)


def stream(base_url: str) -> int:
    count = 0
    prefix = urlsplit(base_url).path
    with ApiClient(Configuration(host=base_url, access_token="token")) as client:  # noqa: S106  # of no account
        page = ContactsApi(client).get_all_contacts(limit=500, include=INCLUDE)
        while True:
            for _ in page.contacts or ():
                count += 1
            if page.links is None or page.links.next is None or page.links.next.href is None:
                return count
            page = _follow(client, page.links.next.href.removeprefix(prefix))


def _follow(client: Any, path: str) -> GetAllContacts200Response:
    request = client.param_serialize(
        "GET", path, header_params={"Accept": "application/json"}, auth_settings=["oauth2_access_code"]
    )
    response = client.call_api(*request)
    response.read()
    page: GetAllContacts200Response = client.response_deserialize(response, _TYPES).data
    return page
