"""Tokens as JSON, for stores."""

from typing import Literal

import msgspec

from cc_async.oauth.token import Token


class _Record(msgspec.Struct):
    """The stored form of a token; `format` tells it from any other JSON."""

    format: Literal["cc-async token 1"]
    access_token: str
    refresh_token: str | None = None
    expires_at: float | None = None
    scope: str | None = None


def decode_token(content: bytes | str) -> Token | None:
    """Return the token, or None for anything else; an exception would carry the content in its traceback."""
    try:
        record = msgspec.json.decode(content, type=_Record)
    except (ValueError, RecursionError):
        return None
    return Token(record.access_token, record.refresh_token, record.expires_at, record.scope)


def encode_token(token: Token) -> bytes:
    """Return the stored form of the token, in the clear."""
    record = _Record("cc-async token 1", token.access_token, token.refresh_token, token.expires_at, token.scope)
    return msgspec.json.encode(record, enc_hook=str)  # a Secret is not exactly a str
