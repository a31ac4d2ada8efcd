"""The rows of a file that is to be imported."""

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import attrs

from cc_async.cli.exits import CommandError
from cc_async.cli.files import complete_file
from cc_async.cli.import_columns import REASON
from cc_async.cli.output import csv_row

_DELIMITERS: Final = ",;\t"
_FIELD_LIMIT: Final = 10_000_000


@attrs.frozen
class ImportFile:
    """A file of CSV or JSON Lines; reading it twice gives the same rows."""

    path: Path
    encoding: str

    def columns(self) -> list[str]:
        """Return the names of the columns; those of JSON Lines are the keys of all rows.

        Raises:
            CommandError: The file cannot be read, or is empty.

        """
        if self.path.suffix.lower() == ".csv":
            with self._open() as file, self._readable():
                # Spreadsheets write commas for empty columns, too.
                found = [name for name in self._reader(file).fieldnames or [] if name.strip()]
        else:
            found = [*dict.fromkeys(key for row in self.rows() if isinstance(row, dict) for key in row)]
        if not found:
            raise CommandError(f"{self.path} has no columns.")
        if self.path.suffix.lower() == ".jsonl" and _is_contact(next(self.rows(), None)):
            raise CommandError(f"{self.path} holds contacts of the API: export them to a .csv file to import them.")
        if repeated := {name for name in found if found.count(name) > 1}:
            raise CommandError(f"{self.path} has several columns {min(repeated)!r}: rename them.")
        return [*found]

    def rows(self) -> Iterator[dict[str, Any] | str]:
        """Yield the rows; in place of one that cannot be read, the reason.

        Raises:
            CommandError: The file cannot be read.

        """
        with self._open() as file, self._readable():
            yield from self._csv(file) if self.path.suffix.lower() == ".csv" else self._json_lines(file)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError:
            encoding = "UTF-8" if self.encoding == "utf-8-sig" else self.encoding
            message = f"{self.path} is not {encoding}: save it as UTF-8, or say --encoding cp1252."
            raise CommandError(message) from None
        except csv.Error as error:
            raise CommandError(f"{self.path} is not CSV: {error}.") from None

    def _open(self) -> IO[str]:
        try:
            return self.path.open(encoding=self.encoding, newline="")
        except LookupError:
            raise CommandError(f"There is no encoding {self.encoding!r}.") from None

    def _reader(self, file: IO[str]) -> "csv.DictReader[str]":
        csv.field_size_limit(_FIELD_LIMIT)
        header = file.readline()
        file.seek(0)
        delimiter = max(_DELIMITERS, key=header.count)
        return csv.DictReader(file, delimiter=delimiter, restkey="", strict=True)

    def _csv(self, file: IO[str]) -> Iterator[dict[str, Any] | str]:
        for row in self._reader(file):
            yield "it has more cells than there are columns" if "" in row and isinstance(row[""], list) else row

    @staticmethod
    def _json_lines(file: IO[str]) -> Iterator[dict[str, Any] | str]:
        for line in file:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield row if isinstance(row, dict) else "it is not a JSON object"


def _is_contact(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("email_address"), dict)


def write_rejected(source: ImportFile, path: Path, columns: Iterable[str], reasons: Mapping[int, str]) -> None:
    """Write the rows at these positions to a file of the same kind, each with its reason."""
    names = [name for name in columns if name != REASON]
    with complete_file(path) as file:
        if path.suffix == ".csv":
            file.write(csv_row([*names, REASON]))
        for position, row in enumerate(source.rows()):
            if position not in reasons:
                continue
            known = row if isinstance(row, dict) else {}
            if path.suffix == ".csv":
                file.write(csv_row([*(known.get(name) for name in names), reasons[position]]))
            else:
                file.write(json.dumps(known | {REASON: reasons[position]}, ensure_ascii=False) + "\n")
