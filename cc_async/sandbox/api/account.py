"""The account itself: privileges, summary and e-mail addresses."""

from cc_async.sandbox.chance import secret
from cc_async.sandbox.data import Data
from cc_async.sandbox.requests import Call, Document, Routes, read_choices
from cc_async.sandbox.responses import Response, document, invalid

_PRIVILEGES = (
    *("account:read", "account:update", "contacts:read", "contacts:write", "contacts:lists:read"),
    *("contacts:lists:write", "campaign:create", "campaign:read", "campaign:send", "billing:read"),
)
_EMAILS = (
    {
        "email_address": "owner@example.com",
        "email_id": 1,
        "confirm_status": "CONFIRMED",
        "confirm_time": "2020-01-01T10:00:00.521+0000",
        "confirm_source_type": "SITE_OWNER",
        "confirm_source": "192.0.2.1",
        "roles": ["CONTACT", "BILLING", "DEFAULT_FROM"],
        "pending_roles": [],
    },
    {
        "email_address": "news@example.com",
        "email_id": 2,
        "confirm_status": "UNCONFIRMED",
        "roles": [],
        "pending_roles": ["REPLY_TO"],
    },
)
_FILTERS = ("confirm_status", "role_code", "email_address")
_SHORT = {"C": "CONTACT", "B": "BILLING", "J": "JOURNALING", "R": "REPLY_TO", "O": "OTHER"}
_EXTRAS: Document = {
    "physical_address": {
        "address_line1": "1 Harbour Street",
        "city": "Portland",
        "state_code": "ME",
        "postal_code": "04101",
        "country_code": "US",
    },
    "company_logo": {"url": "https://files.example.com/logo.png", "internal_id": "ACCOUNT.IMAGE.5"},
}


class Account:
    """The operations on the account; the gateway has checked their scope."""

    def __init__(self, data: Data) -> None:
        self._data = data

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/account/user/privileges", self._privileges),
            ("GET", "/account/summary", self._summary),
            ("GET", "/account/emails", self._emails),
        )

    def _privileges(self, _: Call) -> Response:
        return document(
            [{"privilege_id": number, "privilege_name": name} for number, name in enumerate(_PRIVILEGES, 30)]
        )

    def _summary(self, call: Call) -> Response:
        summary = {
            "encoded_account_id": f"a{secret(self._data.settings.seed, 109)[:13]}",
            "organization_name": "Harbour Street Books",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "contact_email": "owner@example.com",
            "contact_phone": "2075550100",
            "country_code": "us",  # lower case, as it was seen
            "state_code": "ME",
            "time_zone_id": "US/Eastern",
            "website": "https://www.example.com",
        }
        extra = read_choices(call.pairs, "extra_fields", tuple(_EXTRAS))
        return document(summary | {name: _EXTRAS[name] for name in extra})

    def _emails(self, call: Call) -> Response:
        given = call.pairs
        if len(given.keys() & set(_FILTERS)) > 1:
            raise invalid("Only one filter can be used at a time.")
        found = [
            one
            for one in _EMAILS
            if given.get("confirm_status", one["confirm_status"])
            in (one["confirm_status"], str(one["confirm_status"])[0])
            and given.get("email_address", one["email_address"]) == one["email_address"]
            and ("role_code" not in given or _SHORT.get(given["role_code"], given["role_code"]) in one["roles"])  # type: ignore[operator]
        ]
        return document(found)
