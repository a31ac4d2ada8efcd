"""Everything that can be set on a sandbox, in one place."""

import time
from collections.abc import Callable, Collection
from typing import Literal, TypeAlias

import attrs

Cursor: TypeAlias = Literal["page", "opaque", "lying", "switching"]
EndStyle: TypeAlias = Literal["absent", "null", "empty", "no_next"]
Enforcement: TypeAlias = Literal["sliding", "fixed", "bucket"]
Order: TypeAlias = Literal["created", "updated", "id", "shuffled"]
JobOrder: TypeAlias = Literal["created", "newest"]
JobErrors: TypeAlias = Literal["strings", "objects"]
UnknownColumns: TypeAlias = Literal["ignored", "refused"]
_one_of = attrs.validators.in_


@attrs.define(kw_only=True, eq=False, repr=False)
class Settings:
    """How a sandbox behaves; all but contacts, seed, port and order may be changed while it runs. See `Sandbox`."""

    contacts: int = 0  # made from the seed when the sandbox is built
    seed: int = 0
    port: int = 0  # 0: any that is free
    clock: Callable[[], float] = time.time  # timestamps, token expiry, daily quota and bulk jobs
    monotonic: Callable[[], float] = time.monotonic  # arrivals and the limit a second

    latency: float = 0.0  # seconds from the decision to the response
    jitter: float = 0.0  # seconds, added to or taken from the latency
    arrival_jitter: float = 0.0  # seconds; a request takes up to twice as long to arrive
    compress: bool = True

    rate: int | None = 4  # requests per `per` seconds; None: no limit
    per: float = 1.0
    daily: int | None = 10_000
    enforcement: Enforcement = attrs.field(default="sliding", validator=_one_of(("sliding", "fixed", "bucket")))

    order: Order = attrs.field(default="created", validator=_one_of(("created", "updated", "id", "shuffled")))
    cursor: Cursor = attrs.field(default="page", validator=_one_of(("page", "opaque", "lying", "switching")))
    end_style: EndStyle = attrs.field(default="absent", validator=_one_of(("absent", "null", "empty", "no_next")))
    empty_pages: Collection[int] = ()  # numbers of pages, from 1, without contacts but with a next link
    count_every_page: bool = True  # else only the first page carries contacts_count
    include_rides_in_cursor: bool = True  # else `include` must be sent with the cursor

    touch_on_membership_edits: bool = True  # whether changes of lists and tags alone move updated_at
    touch_on_delete: bool = True
    put_keeps_email: bool = True  # whether a PUT without email_address keeps the address
    confirmed_opt_in: bool = False
    internal_links: bool = False  # whether links to next pages of lists, tags and so on are internal paths

    job_seconds: float = 0.2  # duration of a bulk job, in addition to that of its rows
    job_rows_per_second: float = 20_000
    jobs_at_once: int | None = 1  # 1: one after another; None: all at once
    job_order: JobOrder = attrs.field(default="created", validator=_one_of(("created", "newest")))
    job_queue: int = 1_000  # unfinished jobs above which the third kind of 429 is sent
    job_state: str = "completed"  # the final state of jobs; any other means that they are not applied
    job_counters: bool = True  # whether activities have counters
    job_error_lines: bool = True  # whether imports name the lines they refused
    job_errors: JobErrors = attrs.field(default="strings", validator=_one_of(("strings", "objects")))

    import_rows: int = 39_999  # of a bulk import; anything above is cut off silently
    import_bytes: int = 4_000_000
    import_blanks_erase: bool = False
    import_revives: bool = True  # whether an import brings deleted contacts back
    import_unknown_columns: UnknownColumns = attrs.field(default="ignored", validator=_one_of(("ignored", "refused")))
    export_delay: float = 0.0  # seconds after its job completes in which an export is still 404
    export_lifetime: float = 864_000
    export_bom: bool = False

    rotating: bool = True  # refresh tokens are single-use; else they are long-lived
    refresh_token_in_response: bool = True  # whether the response to a refresh repeats a long-lived one
    public_client: bool = False  # accept client_id in the form, without a secret
    refuse_default_agents: bool = False  # 403 at the token endpoint for the default User-Agent of libraries
    token_lifetime: float = 86_400
    token_rate: int | None = None  # requests per second at the token endpoint
    device_interval: float = 5
    device_lifetime: float = 600
