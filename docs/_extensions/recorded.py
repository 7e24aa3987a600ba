"""Tables of recorded benchmarks: every figure is read from a recorded run during the build.

::

    ```{recorded} evaluate
    :rows: *.*
    :keys: data, method
    :across: data
    acc: accuracy, %
    ```

The argument is the name of a file in benchmarks/studies/results or benchmarks/recorded/earlier.
Each line of the body is a column: where its value is, its title and, optionally, its unit.

- `rows` is the path to the rows within the results: keys, "2:5" for a part of a list, "*" for all
  of a list or dictionary. Without it, the results are one row. A row also has the values of what it
  is part of, and the keys met at each "*" under the names in `keys`, which are columns, too, unless
  the name is "_".
- `across` turns the values of one column into columns, which show the last column of the body.
- `average: 2` merges rows with the same first two columns, and averages the others.
- `again` leaves out the line below the table that says when, where and by which command.

``{recorded-benchmarks} small`` is a table of the latest run of the benchmarks that was saved under
that name, and ``{recorded-runs}`` lists all files.
"""

import json
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import ClassVar

from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FOLDERS = (BENCHMARKS / "studies" / "results", BENCHMARKS / "recorded" / "earlier")
UNITS = {"%": 100, "s": 1, "ms": 1000, "ns": 1, "GiB": 2**-30, "MiB": 2**-20, "times": 1}


class Table(SphinxDirective):
    """A directive that reads files and inserts Markdown."""

    def read(self, file):
        """Load a file, and rebuild the page when the file changes."""
        self.env.note_dependency(str(file))
        return json.loads(file.read_text())

    def insert(self, titles, rows, note=""):
        """Insert a table and a note below it."""
        return self.parse_text_to_nodes(f"{markdown_table(titles, rows)}\n\n{note}")


class Recorded(Table):
    """A table of one file."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {
        "rows": directives.unchanged_required,
        "keys": directives.unchanged_required,
        "across": directives.unchanged_required,
        "average": directives.positive_int,
        "again": directives.flag,
    }

    def run(self):
        """Make the table."""
        name = f"{self.arguments[0]}.json"
        recorded = self.read(next(path / name for path in FOLDERS if (path / name).exists()))
        keys = [key.strip() for key in self.options.get("keys", "").split(",") if key.strip()]
        path = self.options["rows"].split(".") if "rows" in self.options else []
        columns = [(key, key, "") for key in keys if key != "_"]
        n_keys = len(columns)
        columns += [column_of(line) for line in self.content]
        rows = [
            [value_at(row, place) for place, _, _ in columns]
            for row in rows_of(recorded["results"], path, keys, {})
        ]
        rows = [row for row in rows if any(value is not None for value in row[n_keys:])]
        if not rows:
            raise self.error(f"{name} has no rows at {'.'.join(path)}")
        if "average" in self.options:
            rows = averaged(rows, self.options["average"])
        if "across" in self.options:
            columns, rows = spread(columns, rows, self.options["across"])
        cells = [
            [shown(value, unit) for value, (_, _, unit) in zip(row, columns, strict=True)]
            for row in rows
        ]
        note = "" if "again" in self.options else note_of(recorded)
        return self.insert([title for _, title, _ in columns], cells, note)


class RecordedBenchmarks(Table):
    """A table of the latest saved run of the benchmarks."""

    required_arguments = 1

    def run(self):
        """Make the table."""
        name = self.arguments[0]
        files = sorted(BENCHMARKS.glob(f"recorded/*/[0-9]*_{name}.json"), key=lambda f: f.name)
        if not files:
            raise self.error(f"benchmarks/recorded has no run named {name}")
        run = self.read(files[-1])
        rows = []
        for bench in sorted(run["benchmarks"], key=lambda b: (b["group"], b["stats"]["min"])):
            extra = bench["extra_info"]
            rates = [f"{rate(v)} {k[:-6]}/s" for k, v in extra.items() if k.endswith("_per_s")]
            floors = [v for k, v in extra.items() if k.startswith("times_")]
            time = shown(bench["stats"]["min"], "ms")
            floor = shown(floors[0], "") if floors else ""
            rows.append([bench["group"], f"`{bench['name']}`", time, " ".join(rates), floor])
        machine = run["machine_info"]
        place = place_of(machine, machine["threads"], run["versions"]["instruction_set"])
        note = f"*Recorded on {date_of(run['datetime'])}, {place}.*"
        return self.insert(["group", "benchmark", "best time", "throughput", "x floor"], rows, note)


class RecordedRuns(Table):
    """A table of all files."""

    def run(self):
        """Make the table."""
        rows = []
        for file in sorted(file for folder in FOLDERS for file in folder.glob("*.json")):
            recorded = self.read(file)
            versions = ", ".join(
                f"{name} {version}"
                for name, version in recorded["versions"].items()
                if version and name != "instruction_set"
            )
            command = f"`{recorded['command']}`"
            rows.append([file.stem, date_of(recorded["date"]), machine_of(recorded), command])
            rows[-1].append(versions)
        return self.insert(["results", "date", "machine", "command", "versions"], rows)


def column_of(line):
    """Split a line of the body into the place of the value, the title and the unit."""
    place, _, title = line.partition(": ")
    *words, last = title.split(", ")
    return (place, ", ".join(words), last) if words and last in UNITS else (place, title, "")


def rows_of(node, path, keys, row):
    """Yield the rows at the end of the path."""
    if isinstance(node, dict):
        row = row | node
    if not path:
        yield row
        return
    step, *rest = path
    if isinstance(node, list):
        bounds = [int(bound) if bound else None for bound in step.strip("*").split(":")]
        for child in node[slice(*bounds)] if step != "*" else node:
            yield from rows_of(child, rest, keys, row)
    elif step == "*":
        for key, child in node.items():
            if isinstance(child, dict | list):
                yield from rows_of(child, rest, keys[1:], row | {keys[0]: key})
    elif step in node:  # other branches may lack it
        yield from rows_of(node[step], rest, keys, row)


def value_at(row, place):
    """Look up "a.b" in a row."""
    for key in place.split("."):
        row = row.get(key) if isinstance(row, dict) else None
    return row


def averaged(rows, n_same):
    """Merge rows that begin with the same values."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[:n_same]), []).append(row[n_same:])
    return [
        [*same, *(None if None in values else mean(values) for values in zip(*group, strict=True))]
        for same, group in groups.items()
    ]


def spread(columns, rows, title):
    """Turn the values of the column with this title into columns of the last one's values."""
    across = [column[1] for column in columns].index(title)
    *_, (_, measured, unit) = columns
    table = {}
    for row in rows:
        *others, value = row
        at = others.pop(across)
        table.setdefault(tuple(others), {})[at] = value
    values = list(dict.fromkeys(row[across] for row in rows))
    kept = [column for i, column in enumerate(columns[:-1]) if i != across]
    new = [
        (None, value if isinstance(value, str) else f"{measured}, {title} {value}", unit)
        for value in values
    ]
    return kept + new, [[*others, *map(cells.get, values)] for others, cells in table.items()]


def shown(value, unit):
    """Format a value: numbers with three significant digits, texts up to a colon."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " x ".join(shown(item, unit) for item in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).partition(":")[0].replace("|", r"\|")
    number = value * UNITS.get(unit, 1)
    if unit == "%":
        text = f"{number:.1f}"
    elif number == int(number) or abs(number) >= 100:
        text = f"{number:,.0f}"
    else:
        text = f"{number:.3g}"
    return f"{text}\u00a0{unit}" if unit else text  # never on two lines


def rate(value):
    """Format a number per second."""
    for factor, name in ((1e9, "billion"), (1e6, "million")):
        if value >= factor:
            return f"{value / factor:.3g} {name}"
    return shown(value, "")


def markdown_table(titles, rows):
    """Write a table as MyST reads it, with columns of numbers aligned to the right."""
    columns = zip(*rows, strict=True)
    are_numbers = [all(cell[:1].isdigit() for cell in column if cell) for column in columns]
    lines = [titles, ["---:" if numbers else "---" for numbers in are_numbers], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def note_of(recorded):
    """Say when and where a file was recorded, and how to repeat it."""
    place = f"{date_of(recorded['date'])}, {machine_of(recorded)}"
    if "repeat" not in recorded:
        return f"*Recorded on {place}:* `{recorded['command']}`"
    return f"*Recorded on {place}, before pytest-benchmark. Repeat with* `{recorded['repeat']}`"


def date_of(text):
    """Return the day of a date with a time."""
    return datetime.fromisoformat(text).date().isoformat()


def machine_of(recorded):
    """Describe the machine of a file, and the number of threads."""
    instructions = recorded["versions"]["instruction_set"]
    return place_of(recorded["machine"], recorded["threads"], instructions)


def place_of(machine, threads, instructions):
    """Describe a machine, and the number of threads."""
    return (
        f"{machine['cpu']} ({instructions}), {machine['memory_gib']:g} GiB, {machine['system']}, "
        f"{threads} thread{'s' if threads > 1 else ''}"
    )


def setup(app):
    """Register the directives."""
    app.add_directive("recorded", Recorded)
    app.add_directive("recorded-benchmarks", RecordedBenchmarks)
    app.add_directive("recorded-runs", RecordedRuns)
    return {"parallel_read_safe": True}
