"""The ways to read a collection of contacts that are compared, one module each.

`stream(base_url)` streams all contacts and returns their number; `decode(body)` makes the contacts of one
page. A module imports nothing that its way does not need.
"""

INCLUDE = "custom_fields,list_memberships,taggings,notes,phone_numbers,street_addresses,sms_channel"
NAMES = {
    "raw": "aiohttp + orjson, dicts",
    "ours": "cc_async",
    "bare_msgspec": "aiohttp + msgspec, same classes",
    "pydantic_v2": "aiohttp + pydantic v2",
    "cattrs_defaults": "aiohttp + cattrs as it comes",
    "provider": "constant-contact-api-client",
}
"""What each is called in tables; the first is the floor."""
FLOOR = "raw"
