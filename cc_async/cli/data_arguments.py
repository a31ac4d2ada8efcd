"""The arguments of the commands that show, change, export and import data."""

import argparse
from typing import Any

from cc_async.cli.arguments import add_connection, add_format, positive


def add_data_commands(commands: Any) -> None:
    """Add contacts, lists, tags, fields, segments, counts, export and import."""
    contacts = _command(commands, "contacts", "look at contacts", "Read-only.")
    _add_filters(contacts)
    contacts.add_argument("--max", type=positive, default=20, metavar="N", help="read at most N (default: 20)")
    text = "sub-resources, with commas between them: custom_fields, list_memberships, taggings, notes, phone_numbers,"
    text = f"{text} street_addresses, sms_channel, or all; a table does not show them"
    contacts.add_argument("--include", metavar="WHAT", help=text)
    _finish(contacts)
    for name, noun in (("lists", "list"), ("tags", "tag")):
        _add_collection(commands, name, noun)
    fields = _command(commands, "fields", "look at the custom fields of the account", "Read-only.")
    _finish(fields)
    segments = _command(commands, "segments", "look at segments", "Read-only.")
    _finish(segments)
    counts = _command(commands, "counts", "count the contacts by their consent", "Read-only.")
    _finish(counts)
    _add_export(commands)
    _add_import(commands)


def _command(commands: Any, name: str, text: str, more: str = "") -> argparse.ArgumentParser:
    description = f"{text[0].upper()}{text[1:]}. {more}".strip()
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=description)
    return parser


def _finish(parser: argparse.ArgumentParser) -> None:
    add_format(parser)
    add_connection(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "such as active, unsubscribed, deleted or all; separate several with commas"
    add("--status", metavar="STATUS", help=f"{text} (default: all but deleted)")
    add("--email", metavar="ADDRESS", help="only the contact with this e-mail address")
    add("--list", action="append", dest="lists", metavar="LIST", help="on this list, by name or id; may be repeated")
    add("--tag", action="append", dest="tags", metavar="TAG", help="with this tag, by name or id; may be repeated")
    add("--segment", metavar="SEGMENT", help="in this segment, by name or id; excludes all other filters")
    for name in ("updated", "created", "optout"):
        for bound in ("after", "before"):
            what = "opted out" if name == "optout" else name
            add(f"--{name}-{bound}", metavar="TIME", help=f"{what} {bound} a time, such as 2026-01-31T00:00:00Z")


def _add_collection(commands: Any, name: str, noun: str) -> None:
    parser = _command(commands, name, f"look at {name}, create or delete one")
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "create", "delete"),
        default="show",
        metavar="show|create|delete",
        help="what to do (default: show)",
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help=f"of the {noun} to create, or name or id of the one to delete"
    )
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    _finish(parser)


def _add_export(commands: Any) -> None:
    export = _command(
        commands,
        "export",
        "write contacts to a file",
        "A .csv file has a column for each field, and can be imported again; a .jsonl file has one contact of the API a"
        " line. The file appears under its name once it is complete.",
    )
    export.add_argument("file", metavar="FILE", help="ends in .csv or .jsonl, and is overwritten")
    _add_filters(export)
    text = "let the provider write the CSV file: a few requests for any size, in its columns and without ids;"
    export.add_argument(
        "--job", action="store_true", help=f"{text} combines with one list, tag or segment, or a status"
    )
    add_connection(export)


def _add_import(commands: Any) -> None:
    text = (
        "Columns are recognized by their names, custom fields by their labels. New contacts get the permission"
        " implicit, that of others stays as it is. Everybody is put on the lists, also those who left one, except those"
        " who have unsubscribed. If it is interrupted, the same command goes on where it was."
    )
    import_ = _command(commands, "import", "import contacts from a file in bulk jobs", text)
    add = import_.add_argument
    add("file", metavar="FILE", help="ends in .csv or .jsonl")
    text = "list to put everybody on, by name or id; created if there is none; may be repeated"
    add("--list", action="append", dest="lists", required=True, metavar="LIST", help=text)
    text = "send a column as this field, such as --map 'Mail=email' or --map 'Team=cf:Team'; without FIELD leave it out"
    add("--map", action="append", dest="maps", default=[], metavar="COLUMN=FIELD", help=text)
    add("--dry-run", action="store_true", help="send nothing: show the columns, and the rows that cannot be sent")
    add("--encoding", default="utf-8-sig", metavar="NAME", help="of the file, such as cp1252 (default: UTF-8)")
    add_connection(import_)
