"""The access token and its companions."""

import attrs

from cc_async._secrets import masked, secret


@attrs.frozen
class Token:
    """An access token and what is needed to refresh it; its repr shows no secret.

    See `OAuth2`, which refreshes it, and `TokenStore`, which keeps it.
    """

    access_token: str = attrs.field(converter=secret)
    refresh_token: str | None = attrs.field(default=None, converter=masked)
    """None where the application did not request the scope `offline_access`."""
    expires_at: float | None = None
    """When the access token expires, in seconds since the epoch; None if unknown."""
    scope: str | None = None
    """The granted scopes, separated by spaces."""
