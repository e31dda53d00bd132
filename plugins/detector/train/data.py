"""Reads what a model of health learns from: archived readings, or windows that a
gateway captured.

What it reads is told by the file's name:

- `.csv`: an archive of readings. A column `timestamp` (ISO 8601, taken as UTC
  where it says nothing else, or seconds since 1970), then one for each record.
- `.jsonl`: a line for each window. Either what the window plugin publishes, bare
  or as `selvedge tap --json` shows it, or what the capture of a model kept: then
  the input is the window.
"""

import base64
import csv
import dataclasses
import datetime
import json
import math

import numpy as np

import features

# Lines longer than this are no windows.
LINE_CHARS_MAX = 1 << 20
# Rows kept of all files together.
ROWS_MAX = 2_000_000
# The kinds of tensors that features are captured in, least byte first.
KINDS = {"fp32": "<f4", "fp64": "<f8"}


@dataclasses.dataclass
class Reading:
    """How files are read."""

    window: dict             # the window plugin's configuration
    model_input: str         # the model's input, where windows were captured
    rows: int | None         # of each archive, only the first so many
    columns: dict            # what columns of archives are called in readings


class Unreadable(Exception):
    """A file is not what it should be; says where."""


def read(paths, how):
    """Names of the features and one row for each window, oldest first."""
    wanted = features.names(how.window)
    found = []
    for path in paths:
        if path.suffix == ".csv":
            found.append(archive(path, how))
        elif path.suffix == ".jsonl":
            found.append(windows(path, wanted, how.model_input))
        else:
            raise Unreadable(f"{path}: neither .csv nor .jsonl")
    table = np.concatenate(found)
    return wanted, table[np.isfinite(table).all(axis=1)]


def archive(path, how):
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        columns = [name for name in reader.fieldnames or [] if name != "timestamp"]
        times, records = [], {name: [] for name in columns}
        for number, row in enumerate(reader, start=2):
            if len(times) >= (how.rows or ROWS_MAX):
                break
            try:
                times.append(seconds(row["timestamp"]))
                for name, values in records.items():
                    values.append(float(row[name] or "nan"))
            except (KeyError, TypeError, ValueError) as error:
                raise Unreadable(f"{path}:{number}: {error}") from error
    # A second reading of the same time replaces the first, as in the plugin.
    times, last = np.unique(np.array(times)[::-1], return_index=True)
    readings = {
        how.columns.get(name, name): np.array(values)[::-1][last]
        for name, values in records.items()
    }
    _, table = features.of_archive(how.window, times, readings)
    return table


def seconds(text):
    try:
        return float(text)
    except ValueError:
        time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    return time.timestamp()


def windows(path, wanted, model_input):
    table = []
    with open(path) as file:
        for number, line in enumerate(file, start=1):
            if len(table) >= ROWS_MAX:
                break
            if len(line) > LINE_CHARS_MAX:
                raise Unreadable(f"{path}:{number}: longer than {LINE_CHARS_MAX} characters")
            try:
                row = window(json.loads(line), wanted, model_input)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise Unreadable(f"{path}:{number}: {error!r}") from error
            if row is not None:
                table.append(row)
    return np.array(table, dtype=float).reshape(-1, len(wanted))


def numbers(tensor):
    """The numbers of a captured tensor: as they are in memory, in base64."""
    if tensor.get("kind", "fp32") not in KINDS:
        raise ValueError(f"a tensor of {tensor['kind']}")
    data = base64.b64decode(tensor["data"], validate=True)
    return np.frombuffer(data, KINDS[tensor.get("kind", "fp32")]).astype(float).tolist()


def window(entry, wanted, model_input):
    """One row of a line; none where the line is of something else."""
    if "inputs" in entry:
        for tensor in entry["inputs"]:
            if tensor["name"] == model_input:
                values = numbers(tensor)
                if len(values) != len(wanted):
                    raise ValueError(f"{len(values)} values instead of {len(wanted)}")
                return values
        return None
    payload = entry.get("text", entry)
    if isinstance(payload, str):
        payload = json.loads(payload)
    if "values" not in payload:
        return None
    values = dict(zip(payload["names"], payload["values"]))
    row = [values[name] for name in wanted]
    return [math.nan if value is None else value for value in row]
