"""The token that all of this is about."""

import attrs

from cc_async._secrets import masked, secret


@attrs.frozen
class Token:
    """An access token and what is needed to get the next one; its repr shows none of them."""

    access_token: str = attrs.field(converter=secret)
    refresh_token: str | None = attrs.field(default=None, converter=masked)
    """None where the application did not ask for the scope `offline_access`."""
    expires_at: float | None = None
    """When the access token ends, in seconds since the epoch; None where nobody said."""
    scope: str | None = None
    """What the access token allows, separated by spaces."""
