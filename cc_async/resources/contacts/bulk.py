"""Operations on any number of contacts through bulk jobs."""

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Literal

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.http.call import Call
from cc_async.http.session import Session
from cc_async.models.activities import Activity
from cc_async.resources._checks import ids_of
from cc_async.resources._download import download
from cc_async.resources.activities import Activities, calls
from cc_async.resources.activities.calls import ContactIds, ListIds, SegmentId, TagIds
from cc_async.resources.bulk.changes_by_id import BulkChange, Ids
from cc_async.resources.bulk.exports import Export
from cc_async.resources.bulk.imports import Import, ImportOptions, Rows
from cc_async.resources.bulk.journal import FileJournal
from cc_async.resources.contacts.stream import contact_stream
from cc_async.resources.custom_fields import CustomFields
from cc_async.wire.urls import quote_segment

JOBS_AT_MOST = 20


@attrs.frozen
class _ExportSteps:
    """The requests of an export."""

    session: Session
    call: Callable[[], Call[Activity]]

    async def start(self) -> Activity:
        """Start the job."""
        return (await self.session.request(self.call())).data

    async def wait(self, activity: str | Activity, *, timeout: float | None) -> Activity:  # noqa: ASYNC109  # the job goes on
        """Wait until the job has ended."""
        return await Activities(self.session).wait(activity, timeout=timeout)

    async def download(self, file_id: str) -> AsyncGenerator[bytes]:
        """GET /contact_exports/{file_export_id}."""
        call = download("contacts.download_export", f"/contact_exports/{quote_segment(file_id)}", accept="text/csv")
        async with aclosing(self.session.download(call)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await self.session.sleep(seconds)


class BulkContacts:
    """The operations on contacts that the provider runs as jobs: few requests for any number of contacts."""

    _session: Session

    def import_many(
        self,
        rows: Rows,
        *,
        list_ids: ListIds,
        jobs: int = 1,
        verify: bool = False,
        duplicates: Literal["last", "error"] = "last",
        extra_keys: Iterable[str] = (),
        sms_permission_to_send: str | None = None,
        background: bool = False,
        timeout: float | None = None,
        journal: str | os.PathLike[str] | None = None,
    ) -> Import:
        """Import any number of contacts into lists, in jobs of up to 39,999 rows and 4,000,000 bytes.

        `rows` is an iterable or async iterable of `ImportRow` or of mappings with its keys; a custom field is named by
        its label or its name. Iterate over the result for an `ImportOutcome` a job.

        **What an import does to consent**: a new contact gets the permission `implicit`; that of an existing one stays
        as it is. One that has unsubscribed is updated but not added to the lists. **Everybody else is put on all lists
        you name, also those who have left one of them**, and at least one must be named: keep a list of your own for
        imports that are only to update. `create_or_update` raises consent instead, so neither ever stands in for the
        other.

        All rows are read and checked before the first job is sent, and are kept in a temporary file meanwhile; memory
        stays below about 30 MB, plus eight bytes per row. Blank values are not sent. A row that cannot be sent has its
        own outcome. Of rows with the same address in any case, the last one is sent; `duplicates="error"` raises
        InvalidRequestError instead, before anything is sent. Each address is thus in one job only.

        `jobs` is the maximum number of concurrent jobs; their order is not documented. A job whose response was lost
        is looked for among the account's jobs before it is sent again. `timeout`, in seconds, is how long each job is
        followed: it goes on afterwards, and its outcome is `unknown`. While the provider's queue is full, the import
        waits. With `verify` all contacts of the first list are read at the end (a request for 500), and `missing` then
        names the addresses that are not there. `extra_keys` are sent as they are. `journal` is a file that lets
        another process go on with the import after this one was killed: give it the same rows and lists again.

        Raises:
            InvalidRequestError: A row names a custom field that does not exist; nothing was sent.
            ImportJournalError: The journal cannot be used.
            ConstantContactError: What would stop every further job: rows of `unfinished` are handed over, those after
                them are not.

        """
        options = ImportOptions(
            list_ids=tuple(ids_of("list_ids", list_ids, "list_id", at_most=50)),
            jobs=_checked_jobs(jobs),
            verify=verify,
            duplicates=duplicates,
            extra_keys=frozenset(extra_keys),
            sms_permission_to_send=sms_permission_to_send,
            background=background,
            timeout=timeout,
            journal=None if journal is None else FileJournal(journal),
        )
        if duplicates not in {"last", "error"}:
            raise InvalidRequestError('duplicates must be "last" or "error".')
        return Import(
            self._session,
            rows,
            options,
            custom_fields=self._names_of_custom_fields,
            addresses_on=self._addresses_on,
        )

    async def _names_of_custom_fields(self) -> list[tuple[str | None, str | None]]:
        return [(field.label, field.name) for field in await CustomFields(self._session).list().collect()]

    async def _addresses_on(self, list_id: str) -> AsyncGenerator[str]:
        async with contact_stream(self._session, {"lists": list_id, "status": "all"}) as stream:
            async for contact in stream:
                if contact.email_address is not None and contact.email_address.address is not None:
                    yield contact.email_address.address

    def export(
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
        activity: str | Activity | None = None,
        timeout: float | None = None,
    ) -> Export:
        """Export contacts through a job: iterate over the result for rows, or `save` it to a file.

        Without a source it exports the whole account; about 16 requests for any size. No column is a contact id, so
        where ids are wanted, or less than some 8,000 contacts, `list` is the better way. `activity` takes up an export
        that was started before, in another process too. `timeout` is in seconds, for the job to end.

        Raises:
            InvalidRequestError: There is more than one source.

        """

        def build() -> Call[Activity]:
            return calls.export_contacts(
                contact_ids=contact_ids,
                in_lists=in_lists,
                with_tags=with_tags,
                in_segment=in_segment,
                new_subscriber=new_subscriber,
                status=status,
                fields=fields,
                exclude_contact_ids=exclude_contact_ids,
            )

        build()
        return Export(_ExportSteps(self._session, build), activity=activity, timeout=timeout)

    def delete_in_bulk(
        self, contact_ids: Ids, *, jobs: int = 1, background: bool = False, timeout: float | None = None
    ) -> BulkChange:
        """Delete any number of contacts, in jobs of 500."""
        return self._change(contact_ids, calls.delete_contacts, jobs, timeout, background=background)

    def add_to_lists(
        self,
        contact_ids: Ids,
        list_ids: ListIds,
        *,
        jobs: int = 1,
        background: bool = False,
        timeout: float | None = None,
    ) -> BulkChange:
        """Add any number of contacts to lists, in jobs of 500; for all contacts of a list see `activities`."""
        ids = ids_of("list_ids", list_ids, "list_id", at_most=50)
        return self._change(
            contact_ids,
            lambda some: calls.add_to_lists(ids, contact_ids=some),
            jobs,
            timeout,
            background=background,
        )

    def remove_from_lists(
        self,
        contact_ids: Ids,
        list_ids: ListIds,
        *,
        jobs: int = 1,
        background: bool = False,
        timeout: float | None = None,
    ) -> BulkChange:
        """Remove any number of contacts from lists, in jobs of 500."""
        ids = ids_of("list_ids", list_ids, "list_id", at_most=50)
        return self._change(
            contact_ids,
            lambda some: calls.remove_from_lists(ids, contact_ids=some),
            jobs,
            timeout,
            background=background,
        )

    def add_tags(
        self,
        contact_ids: Ids,
        tag_ids: TagIds,
        *,
        jobs: int = 1,
        background: bool = False,
        timeout: float | None = None,
    ) -> BulkChange:
        """Add tags to any number of contacts, in jobs of 500; for all contacts of a list see `activities`."""
        ids = ids_of("tag_ids", tag_ids, "tag_id", at_most=50)
        return self._change(
            contact_ids, lambda some: calls.add_tags(ids, contact_ids=some), jobs, timeout, background=background
        )

    def remove_tags(
        self,
        contact_ids: Ids,
        tag_ids: TagIds,
        *,
        jobs: int = 1,
        background: bool = False,
        timeout: float | None = None,
    ) -> BulkChange:
        """Remove tags from any number of contacts, in jobs of 500."""
        ids = ids_of("tag_ids", tag_ids, "tag_id", at_most=50)
        return self._change(
            contact_ids, lambda some: calls.remove_tags(ids, contact_ids=some), jobs, timeout, background=background
        )

    def _change(
        self,
        contact_ids: Ids,
        build: Callable[[tuple[str, ...]], Call[Activity]],
        jobs: int,
        timeout: float | None,
        *,
        background: bool,
    ) -> BulkChange:
        return BulkChange(
            self._session, contact_ids, build, jobs=_checked_jobs(jobs), background=background, timeout=timeout
        )


def _checked_jobs(jobs: int) -> int:
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= JOBS_AT_MOST:
        raise InvalidRequestError(f"jobs must be a whole number from 1 to {JOBS_AT_MOST}.")
    return jobs
