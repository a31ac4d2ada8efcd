"""Bulk activities: starting jobs, reading their state, and the files of exports."""

from collections.abc import Collection, Iterable
from typing import Any

from cc_async.sandbox.api.contacts import Contacts
from cc_async.sandbox.api.deletions import delete_custom_fields, delete_lists, delete_tags
from cc_async.sandbox.collection import cut, read_query, respond
from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Job, Jobs, Work
from cc_async.sandbox.requests import Call, Document, Routes
from cc_async.sandbox.responses import Response, document, invalid, not_found

from .bodies import (
    DeletedFields,
    DeletedLists,
    DeletedTags,
    Deletion,
    Memberships,
    Taggings,
    check_source,
)
from .exports import Exports
from .imports import Import, read_csv, read_json
from .sources import Sources

_MOST_PER_PAGE = 500
_STATES = ("processing", "completed", "cancelled", "failed", "timed_out")
_ADD = ("list_ids", "contact_ids", "tag_ids", "all_active_contacts", "engagement_level", "segment_id")
_REMOVE = _ADD[:-1]
_TAG = ("contact_ids", "list_ids", "tag_ids", "all_active_contacts", "new_subscriber")


class Activities:
    """The operations on bulk activities."""

    def __init__(self, data: Data, jobs: Jobs, contacts: Contacts) -> None:
        self._data, self._jobs, self._store = data, jobs, contacts.store
        self._sources = Sources(data, contacts.store, contacts.pages)
        self._exports = Exports(data, jobs, self._sources)

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/activities", self._all),
            ("GET", "/activities/{activity_id}", self._get),
            ("POST", "/activities/contacts_json_import", self._import_json),
            ("POST", "/activities/contacts_file_import", self._import_file),
            ("POST", "/activities/contact_exports", lambda call: self._started(self._exports.start(call))),
            ("GET", "/contact_exports/{file_export_id}", self._exports.download),
            ("POST", "/activities/contact_delete", self._delete),
            ("POST", "/activities/add_list_memberships", lambda call: self._memberships(call, add=True)),
            ("POST", "/activities/remove_list_memberships", lambda call: self._memberships(call, add=False)),
            ("POST", "/activities/contacts_taggings_add", lambda call: self._taggings(call, add=True)),
            ("POST", "/activities/contacts_taggings_remove", lambda call: self._taggings(call, add=False)),
            ("POST", "/activities/list_delete", self._delete_lists),
            ("POST", "/activities/contacts_tags_delete", self._delete_tags),
            ("POST", "/activities/custom_fields_delete", self._delete_fields),
        )

    def _all(self, call: Call) -> Response:
        given = read_query(call)
        state = given.get("state")
        if state is not None and state not in _STATES:
            raise invalid("state does not have a valid value")
        jobs = [job for job in self._jobs.recent() if state in (None, job.state)]
        page, cursor = cut(given, [self._jobs.activity(job) for job in jobs], "activity_id", _MOST_PER_PAGE)
        for activity in page:  # all of them link to the last one, as was seen
            activity["_links"]["self"] = {"href": f"/v3/activities/{page[-1]['activity_id']}"}
        return respond(self._data.settings, call, {"activities": page}, cursor)

    def _get(self, call: Call) -> Response:
        job = self._jobs.find(call.args["activity_id"])
        if job is None:
            raise not_found("The activity was not found.")
        return document(self._jobs.activity(job))

    def _import_json(self, call: Call) -> Response:
        settings = self._data.settings
        rows, lists = read_json(call, settings.import_rows, settings.import_bytes)
        return self._import(rows, lists, "upload_from_json.csv", missing=400)

    def _import_file(self, call: Call) -> Response:
        settings = self._data.settings
        name, rows, lists = read_csv(call, settings.import_rows, settings.import_bytes)
        return self._import(rows, lists, name, missing=404)

    def _import(self, rows: list[Document], lists: list[str], name: str, missing: int) -> Response:
        _check_known(lists, self._data.lists, "list_ids", missing)
        work = Import(self._data, self._store, rows, lists).work
        counters = dict.fromkeys(("error_count", "correctable_count", "cannot_add_to_list_count"), 0)
        counters["person_count"] = len(rows)
        return self._start(work, len(rows) + 1, counters, source_file_name=name)

    def _delete(self, call: Call) -> Response:
        source: Document = {**call.read(Deletion)}
        if len(source) != 1:
            raise invalid("exactly one of contact_ids and list_ids is required")
        _check_known(source.get("list_ids", ()), self._data.lists, "list_ids", 400)
        counters = {"items_completed_count": 0, "list_count": len(source.get("list_ids", ()))}
        return self._start(self._sources.delete(source), len(self._sources.rows(source)), counters)

    def _memberships(self, call: Call, *, add: bool) -> Response:
        body = call.read(Memberships)
        source = check_source(body["source"], body.get("exclude"), _ADD if add else _REMOVE)
        _check_known(body["list_ids"], self._data.lists, "list_ids", 400 if add else 404)
        excluded = body.get("exclude", {}).get("contact_ids", [])
        work = self._sources.change("lists", body["list_ids"], source, excluded, add=add)
        counters = {"items_completed_count": 0, "list_count": len(body["list_ids"])}
        return self._start(work, len(self._sources.rows(source, excluded)), counters)

    def _taggings(self, call: Call, *, add: bool) -> Response:
        body = call.read(Taggings)
        source = check_source(body["source"], body.get("exclude"), _TAG)
        _check_known(body["tag_ids"], self._data.tags, "tag_ids", 404)
        excluded = body.get("exclude", {}).get("contact_ids", [])
        work = self._sources.change("tags", body["tag_ids"], source, excluded, add=add)
        return self._start(work, len(self._sources.rows(source, excluded)), {"items_completed_count": 0})

    def _delete_lists(self, call: Call) -> Response:
        ids = call.read(DeletedLists)["list_ids"]
        _check_known(ids, self._data.lists, "list_ids", 400)
        return self._start(lambda job: delete_lists(self._data, ids, job), len(ids), {"list_count": len(ids)})

    def _delete_tags(self, call: Call) -> Response:
        ids = call.read(DeletedTags)["tag_ids"]
        _check_known(ids, self._data.tags, "tag_ids", 400)
        return self._start(lambda job: delete_tags(self._data, ids, job), len(ids), {"items_completed_count": 0})

    def _delete_fields(self, call: Call) -> Response:
        ids = call.read(DeletedFields)["custom_field_ids"]
        _check_known(ids, self._data.custom_fields, "custom_field_ids", 404)
        counters = {"items_completed_count": 0}
        return self._start(lambda job: delete_custom_fields(self._data, ids, job), len(ids), counters)

    def _start(self, work: Work, total: int, counters: dict[str, int], **details: Any) -> Response:
        return self._started(self._jobs.add(work, total, counters, **details))

    def _started(self, job: Job) -> Response:
        return document(self._jobs.activity(job), 201)


def _check_known(ids: Iterable[str], known: Collection[str], name: str, status: int) -> None:
    for one in ids:
        if one not in known:
            raise not_found(f"{name}: {one} was not found.") if status == 404 else invalid(f"{name}: {one} not found")
