"""Bulk jobs, which the API calls activities.

See https://developer.constantcontact.com/api_guide/bulk_activity_overview.html.
"""

import asyncio
import itertools
import math
import os
from collections.abc import Iterable
from pathlib import Path

from cc_async._tasks import run_in_thread
from cc_async.errors import ActivityTimeoutError
from cc_async.http.session import Session
from cc_async.models.activities import Activity
from cc_async.resources._checks import page_params
from cc_async.resources._collection import stream
from cc_async.resources._operation import first_page, raw
from cc_async.resources.activities import calls
from cc_async.resources.activities.calls import ContactIds, FieldIds, ListIds, Rows, SegmentId, TagIds
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Page, Pager

_ACTIVITIES = Collection(
    operation="activities.list",
    path="/activities",
    items="activities",
    model=Activity,
    key=lambda activity: activity.activity_id,
)
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between the requests of `wait`; the last is repeated."""


class Activities:
    """Bulk jobs: each method but `list`, `get` and `wait` starts one with a single request and returns its `Activity`.

    A job runs on the provider's side; `wait` polls it. `completed` does not mean that nothing failed: look at the
    counters in `status` and at `activity_errors`. All of this needs the privilege `contacts:write`, even reading.

    A request that starts a job is not repeated once it may have been accepted; its error then says `maybe_applied`, and
    `list` shows whether the job exists. Where the account has more than 1,000 jobs waiting, BulkQueueFullError is
    raised. Ids may also be given as the objects that have them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def with_http_info(self) -> "ActivitiesWithHttpInfo":
        """The same operations, which return the status code and headers with the data."""
        return ActivitiesWithHttpInfo(self._session)

    def list(self, state: str | None = None, *, limit: int = 500, start: str | None = None) -> Pager[Activity]:
        """Stream the jobs of the last ten days, newest first (GET /activities).

        `state` is processing, completed, cancelled, failed or timed_out; the API cannot be asked for initialized. The
        response does not say what kind of job each is. `limit` is the page size, 1 to 500. `start` is the `next_url` of
        a page to continue after, without any other filter.
        """
        return _stream(self._session, state, limit, start)

    async def get(self, activity_id: str | Activity) -> Activity:
        """Return the current state of a job (GET /activities/{activity_id}).

        Raises:
            NotFoundError: There is no such job, or it is older than ten days.

        """
        return (await self._session.request(calls.get(activity_id))).data

    async def wait(self, activity_id: str | Activity, *, timeout: float | None = None) -> Activity:  # noqa: ASYNC109  # the job goes on: see the error
        """Wait until a job has ended, and return it; its `state` says how it ended.

        The job is polled after 1, 2, 4, 8 and 15 seconds, then every 30. With an id alone, the wait can be resumed
        later and in another process. Cancelling the wait does not cancel the job, because the API cannot.

        Raises:
            ActivityTimeoutError: The job had not ended after `timeout` seconds. It goes on, and may still succeed.

        """
        loop = asyncio.get_running_loop()
        deadline = math.inf if timeout is None else loop.time() + timeout
        pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
        polled = not isinstance(activity_id, Activity)  # a new job cannot have ended yet
        activity = activity_id if isinstance(activity_id, Activity) else await self.get(activity_id)
        while not (activity.finished or activity.already_deleted):
            left = max(0.0, deadline - loop.time())
            if polled and not left:
                raise ActivityTimeoutError(
                    f"The job is still {activity.state} after {timeout:g} seconds. It goes on: wait for it again.",
                    activity=activity,
                )
            await self._session.sleep(min(next(pauses), left))
            activity, polled = await self.get(activity), True
        return activity

    async def import_contacts(
        self, rows: Rows, list_ids: ListIds, *, sms_permission_to_send: str | None = None
    ) -> Activity:
        """Import up to 39,999 contacts into 1 to 50 lists (POST /activities/contacts_json_import).

        A row is a flat mapping such as `{"email": …, "first_name": …, "cf:favorite_color": …}`, **not** a contact: the
        keys are those of the API's import, and a custom field is addressed by its `name`. Blank values are left out.
        New contacts get the permission `implicit`; a contact that is subscribed but has left one of the lists is put
        back on it; one that is unsubscribed is not added. `sms_permission_to_send` is not_set or explicit.

        Raises:
            InvalidRequestError: There are too many rows or bytes; the API would silently drop the rest.
            BulkQueueFullError: Too many jobs are waiting.

        """
        call = calls.import_contacts(rows, list_ids, sms_permission_to_send=sms_permission_to_send)
        return (await self._session.request(call)).data

    async def import_file(
        self,
        file: str | os.PathLike[str] | bytes,
        list_ids: ListIds,
        *,
        filename: str | None = None,
        sms_permission_to_send: str | None = None,
    ) -> Activity:
        """Import a CSV file of up to 40,000 lines and 4 MB into 1 to 50 lists (POST /activities/contacts_file_import).

        `file` is a path or the content, in UTF-8 and with a header line. `filename` is what the job shows as
        `source_file_name`; the name of the file by default. As to consent and lists, see `import_contacts`.

        Raises:
            InvalidRequestError: The file is too big, or its name does not end with `.csv`.
            OSError: The file cannot be read.
            BulkQueueFullError: Too many jobs are waiting.

        """
        if isinstance(file, bytes):
            content, name = file, "contacts.csv"
        else:
            path = Path(file)
            content, name = await run_in_thread(lambda: _start_of(path)), path.name
        call = calls.import_file(
            content, list_ids, filename=filename or name, sms_permission_to_send=sms_permission_to_send
        )
        return (await self._session.request(call)).data

    async def export_contacts(
        self,
        *,
        contact_ids: ContactIds | None = None,
        in_lists: ListIds | None = None,
        with_tags: TagIds | None = None,
        in_segment: SegmentId | None = None,
        new_subscriber: bool = False,
        status: str | None = None,
        fields: Iterable[str] | None = None,
        exclude_contact_ids: ContactIds | None = None,
    ) -> Activity:
        """Write contacts, all unless told otherwise, to a CSV file (POST /activities/contact_exports).

        Name at most one source: up to 500 `contact_ids`, 50 `in_lists`, 50 `with_tags`, or `in_segment`. `status`
        (active, unsubscribed or removed) combines with contacts and lists; `new_subscriber` (of the last 30 days) and
        `exclude_contact_ids` (at most 50) with lists, or with no source. `fields` names the columns; those about opt-in
        and opt-out need `email_address` among them. The `file_export_id` of the job names the file.

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        call = calls.export_contacts(
            contact_ids=contact_ids,
            in_lists=in_lists,
            with_tags=with_tags,
            in_segment=in_segment,
            new_subscriber=new_subscriber,
            status=status,
            fields=fields,
            exclude_contact_ids=exclude_contact_ids,
        )
        return (await self._session.request(call)).data

    async def delete_contacts(
        self, contact_ids: ContactIds | None = None, *, in_lists: ListIds | None = None
    ) -> Activity:
        """Delete up to 500 contacts, or **all contacts** on up to 50 lists (POST /activities/contact_delete).

        `delete_lists` deletes lists and leaves their contacts.

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        return (await self._session.request(calls.delete_contacts(contact_ids, in_lists=in_lists))).data

    async def add_to_lists(
        self,
        list_ids: ListIds,
        *,
        contact_ids: ContactIds | None = None,
        in_lists: ListIds | None = None,
        with_tags: TagIds | None = None,
        in_segment: SegmentId | None = None,
        engagement_level: str | None = None,
        all_active_contacts: bool = False,
        exclude_contact_ids: ContactIds | None = None,
    ) -> Activity:
        """Add contacts to 1 to 50 lists (POST /activities/add_list_memberships).

        Name one source: up to 500 `contact_ids`, the contacts that are `in_lists` (50) or carry a tag of `with_tags`
        (50), those `in_segment`, those of an `engagement_level` (unqualified, low, medium or high), or
        `all_active_contacts`. `exclude_contact_ids` combines with `in_lists` and `all_active_contacts`.

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        call = calls.add_to_lists(
            list_ids,
            contact_ids=contact_ids,
            in_lists=in_lists,
            with_tags=with_tags,
            in_segment=in_segment,
            engagement_level=engagement_level,
            all_active_contacts=all_active_contacts,
            exclude_contact_ids=exclude_contact_ids,
        )
        return (await self._session.request(call)).data

    async def remove_from_lists(
        self,
        list_ids: ListIds,
        *,
        contact_ids: ContactIds | None = None,
        in_lists: ListIds | None = None,
        with_tags: TagIds | None = None,
        engagement_level: str | None = None,
        all_active_contacts: bool = False,
        exclude_contact_ids: ContactIds | None = None,
    ) -> Activity:
        """Remove contacts from 1 to 50 lists (POST /activities/remove_list_memberships).

        The sources are those of `add_to_lists`, except for segments.

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        call = calls.remove_from_lists(
            list_ids,
            contact_ids=contact_ids,
            in_lists=in_lists,
            with_tags=with_tags,
            engagement_level=engagement_level,
            all_active_contacts=all_active_contacts,
            exclude_contact_ids=exclude_contact_ids,
        )
        return (await self._session.request(call)).data

    async def add_tags(
        self,
        tag_ids: TagIds,
        *,
        contact_ids: ContactIds | None = None,
        in_lists: ListIds | None = None,
        with_tags: TagIds | None = None,
        new_subscriber: bool = False,
        all_active_contacts: bool = False,
        exclude_contact_ids: ContactIds | None = None,
    ) -> Activity:
        """Give contacts 1 to 50 tags (POST /activities/contacts_taggings_add).

        Name one source: up to 500 `contact_ids`, the contacts that are `in_lists` (50) or carry a tag of `with_tags`
        (50), each `new_subscriber` (of the last 30 days), or `all_active_contacts`. `exclude_contact_ids` combines with
        `in_lists` and `all_active_contacts`.

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        call = calls.add_tags(
            tag_ids,
            contact_ids=contact_ids,
            in_lists=in_lists,
            with_tags=with_tags,
            new_subscriber=new_subscriber,
            all_active_contacts=all_active_contacts,
            exclude_contact_ids=exclude_contact_ids,
        )
        return (await self._session.request(call)).data

    async def remove_tags(
        self,
        tag_ids: TagIds,
        *,
        contact_ids: ContactIds | None = None,
        in_lists: ListIds | None = None,
        with_tags: TagIds | None = None,
        new_subscriber: bool = False,
        all_active_contacts: bool = False,
        exclude_contact_ids: ContactIds | None = None,
    ) -> Activity:
        """Take 1 to 50 tags from contacts (POST /activities/contacts_taggings_remove).

        The sources are those of `add_tags`.

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        call = calls.remove_tags(
            tag_ids,
            contact_ids=contact_ids,
            in_lists=in_lists,
            with_tags=with_tags,
            new_subscriber=new_subscriber,
            all_active_contacts=all_active_contacts,
            exclude_contact_ids=exclude_contact_ids,
        )
        return (await self._session.request(call)).data

    async def delete_lists(self, list_ids: ListIds) -> Activity:
        """Delete up to 100 lists, but not their contacts (POST /activities/list_delete).

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        return (await self._session.request(calls.delete_lists(list_ids))).data

    async def delete_tags(self, tag_ids: TagIds) -> Activity:
        """Delete up to 500 tags, but not their contacts (POST /activities/contacts_tags_delete).

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        return (await self._session.request(calls.delete_tags(tag_ids))).data

    async def delete_custom_fields(self, custom_field_ids: FieldIds) -> Activity:
        """Delete up to 100 custom fields with their values (POST /activities/custom_fields_delete).

        Raises:
            BulkQueueFullError: Too many jobs are waiting.

        """
        return (await self._session.request(calls.delete_custom_fields(custom_field_ids))).data


def _start_of(path: Path) -> bytes:
    """Read a file, but at most enough to know that it is too big."""
    with path.open("rb") as file:
        return file.read(calls.BYTES_AT_MOST + 1)


class ActivitiesWithHttpInfo:
    """The operations of `Activities`, each with the status code and the headers of its response."""

    def __init__(self, session: Session) -> None:
        self._session = session

    get = raw(calls.get)
    import_contacts = raw(calls.import_contacts)
    import_file = raw(calls.import_file)
    export_contacts = raw(calls.export_contacts)
    delete_contacts = raw(calls.delete_contacts)
    add_to_lists = raw(calls.add_to_lists)
    remove_from_lists = raw(calls.remove_from_lists)
    add_tags = raw(calls.add_tags)
    remove_tags = raw(calls.remove_tags)
    delete_lists = raw(calls.delete_lists)
    delete_tags = raw(calls.delete_tags)
    delete_custom_fields = raw(calls.delete_custom_fields)

    async def list(self, state: str | None = None, *, limit: int = 500, start: str | None = None) -> Page[Activity]:
        """Return the first page of `Activities.list`."""
        return await first_page(_stream(self._session, state, limit, start))


def _stream(session: Session, state: str | None, limit: int, start: str | None) -> Pager[Activity]:
    return stream(session, _ACTIVITIES, page_params(start, limit, 500, state=state), start=start, read_ahead=0)
