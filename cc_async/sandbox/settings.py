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
    """How a sandbox behaves; all but contacts, seed, port and order may be changed while it runs."""

    contacts: int = 0  # made from the seed when the sandbox is built
    seed: int = 0
    port: int = 0  # 0: any that is free
    clock: Callable[[], float] = time.time  # stamps, token expiry and the day's quota
    monotonic: Callable[[], float] = time.monotonic  # arrivals and the limit a second

    latency: float = 0.0  # seconds between the decision and the answer
    jitter: float = 0.0  # seconds, added to or taken from the latency
    arrival_jitter: float = 0.0  # seconds; a request is up to twice as long under way before it is counted
    compress: bool = True

    rate: int | None = 4  # requests per `per` seconds; None: no limit
    per: float = 1.0
    daily: int | None = 10_000
    enforcement: Enforcement = attrs.field(default="sliding", validator=_one_of(("sliding", "fixed", "bucket")))

    order: Order = attrs.field(default="created", validator=_one_of(("created", "updated", "id", "shuffled")))
    cursor: Cursor = attrs.field(default="page", validator=_one_of(("page", "opaque", "lying", "switching")))
    end_style: EndStyle = attrs.field(default="absent", validator=_one_of(("absent", "null", "empty", "no_next")))
    empty_pages: Collection[int] = ()  # numbers of pages, from 1, that hold no contact but go on
    count_every_page: bool = True  # else only the first page carries contacts_count
    include_rides_in_cursor: bool = True  # else `include` has to be sent again beside the cursor

    touch_on_membership_edits: bool = True  # whether edits of lists and tags alone move updated_at
    touch_on_delete: bool = True
    put_keeps_email: bool = True  # whether a PUT without email_address leaves the address as it was
    confirmed_opt_in: bool = False
    internal_links: bool = False  # whether links to next pages of lists, tags and so on are internal paths

    job_seconds: float = 0.2  # duration of a bulk job, to which its rows are added
    job_rows_per_second: float = 20_000
    jobs_at_once: int | None = 1  # 1: one after another; None: all at once
    job_order: JobOrder = attrs.field(default="created", validator=_one_of(("created", "newest")))
    job_queue: int = 1_000  # unfinished jobs, above which the third kind of 429 comes
    job_state: str = "completed"  # how jobs end; if not completed, nothing of them is applied
    job_counters: bool = True  # whether activities have counters
    job_error_lines: bool = True  # whether imports say which lines they could not read
    job_errors: JobErrors = attrs.field(default="strings", validator=_one_of(("strings", "objects")))

    import_rows: int = 39_999  # of a bulk import; whatever is above is cut off without a word
    import_bytes: int = 4_000_000
    import_blanks_erase: bool = False
    import_revives: bool = True  # whether an import brings deleted contacts back
    import_unknown_columns: UnknownColumns = attrs.field(default="ignored", validator=_one_of(("ignored", "refused")))
    export_delay: float = 0.0  # seconds after its job completes, in which an export is still not found
    export_lifetime: float = 864_000
    export_bom: bool = False

    rotating: bool = True  # refresh tokens work once; else they are long-lived
    refresh_token_in_answer: bool = True  # a long-lived one may be left out of the answer to a refresh
    public_client: bool = False  # accept client_id in the form, without a secret
    refuse_default_agents: bool = False  # 403 at the token endpoint for libraries that do not say who they are
    token_lifetime: float = 86_400
    token_rate: int | None = None  # requests a second at the token endpoint
    device_interval: float = 5
    device_lifetime: float = 600
