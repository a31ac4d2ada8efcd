"""Equality of e-mail addresses in different spellings."""

import unicodedata

_LONGEST_DOMAIN = 255
"""Longer domains cannot exist, and IDNA takes more than linear time."""


def normalized_address(address: str) -> str:
    """Return a canonical form, equal for equal addresses; never raises.

    Surrounding spaces, case, the Unicode normalization form, and whether an international domain is written in Unicode
    or in Punycode make no difference.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", address.strip()).casefold())
    local, at, domain = folded.rpartition("@")
    return local + at + _ascii_domain(domain)


def spellings(address: str) -> list[str]:
    """Return the spellings under which a server may hold an address, the given one first.

    A plain ASCII address has one, or two where it has capitals.
    """
    given = address.strip()
    normalized = normalized_address(given)
    local, at, domain = normalized.rpartition("@")
    return [*dict.fromkeys((given, given.lower(), normalized, local + at + _unicode_domain(domain)))]


def _ascii_domain(domain: str) -> str:
    if domain.isascii() or len(domain) > _LONGEST_DOMAIN:
        return domain
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return domain


def _unicode_domain(domain: str) -> str:
    if "xn--" not in domain or not domain.isascii() or len(domain) > _LONGEST_DOMAIN:
        return domain
    try:
        return domain.encode("ascii").decode("idna")
    except UnicodeError:
        return domain
