"""Tables of recorded benchmarks: all numbers are read from benchmarks/results during the build.

::

    ```{recorded} evaluate
    :rows: *.*
    :keys: data, method
    :across: data
    acc: accuracy, %
    ```

`rows` is the way to the rows among a file's results: keys, "2:5" for a part of a list, "*" for all
of a list or dictionary; without it, the results are one row. The keys met at a "*" belong to the
row, under the names in `keys`; so does what a row is part of. The body has a line for each column:
where its value is, the title and, if there is one, the unit. With `across`, the values of that
column become columns of their own, of what the last line says. With `average: 2`, rows with the
same first two columns become one, the mean of their other columns. `again` leaves out the line of
when and where, which stands under another table.

``{recorded-runs}`` is a table of all files: when and where, and by what command.
"""

import json
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import ClassVar

from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
UNITS = {"%": 100, "s": 1, "ms": 1000, "ns": 1, "GiB": 2**-30, "MiB": 2**-20, "times": 1}


class Recorded(SphinxDirective):
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
        """Make the table, and a line that says when and where."""
        file = RESULTS / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(file))
        recorded = json.loads(file.read_text())
        keys = names(self.options.get("keys", ""))
        way = self.options["rows"].split(".") if "rows" in self.options else []
        columns = [(key, key, "") for key in keys] + [column_of(line) for line in self.content]
        rows = [
            [value_at(row, place) for place, _, _ in columns]
            for row in rows_of(recorded["results"], way, keys, {})
        ]
        rows = [row for row in rows if any(value is not None for value in row[len(keys) :])]
        if not rows:
            raise self.error(f"no such rows in {file.name}")
        n_same = self.options.get("average")
        if n_same:
            rows = averaged(rows, n_same)
        if "across" in self.options:
            columns, rows = spread(columns, rows, self.options["across"])
        told = markdown_table(
            [title for _, title, _ in columns],
            [
                [shown(value, unit) for value, (_, _, unit) in zip(row, columns, strict=True)]
                for row in rows
            ],
        )
        if "again" not in self.options:
            place = f"{date_of(recorded)}, {machine_of(recorded)}"
            told += f"\n\n*Recorded on {place}:* `{recorded['command']}`"
        return self.parse_text_to_nodes(told)


class RecordedRuns(SphinxDirective):
    """A table of all files."""

    def run(self):
        """Make the table."""
        rows = []
        for file in sorted(RESULTS.glob("*.json")):
            self.env.note_dependency(str(file))
            recorded = json.loads(file.read_text())
            versions = ", ".join(
                f"{name} {version}"
                for name, version in recorded["versions"].items()
                if version and name != "instruction_set"
            )
            command = f"`{recorded['command']}`"
            rows.append([file.stem, date_of(recorded), machine_of(recorded), command, versions])
        titles = ["results", "date", "machine", "command", "versions"]
        return self.parse_text_to_nodes(markdown_table(titles, rows))


def names(text):
    """Split "a, b"."""
    return [name.strip() for name in text.split(",") if name.strip()]


def column_of(line):
    """Read a line of the body."""
    place, _, title = line.partition(": ")
    *words, last = title.split(", ")
    return (place, ", ".join(words), last) if words and last in UNITS else (place, title, "")


def rows_of(node, way, keys, row):
    """Yield the rows at the end of the way."""
    if isinstance(node, dict):
        row = row | node
    if not way:
        yield row
        return
    step, *rest = way
    if isinstance(node, list):
        bounds = [int(bound) if bound else None for bound in step.strip("*").split(":")]
        for child in node[slice(*bounds)] if step != "*" else node:
            yield from rows_of(child, rest, keys, row)
    elif step == "*":
        for key, child in node.items():
            if isinstance(child, dict | list):
                yield from rows_of(child, rest, keys[1:], row | {keys[0]: key})
    elif step in node:  # else what is looked for is not in this part
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
    """Make columns of the values of one."""
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
    return kept + new, [[*others, *map(found.get, values)] for others, found in table.items()]


def shown(value, unit):
    """Write a value: numbers with three digits that count, texts up to a colon."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " x ".join(shown(one, unit) for one in value)
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


def markdown_table(titles, rows):
    """Write a table as MyST reads it, columns of numbers to the right."""
    columns = zip(*rows, strict=True)
    of_numbers = [all(cell[:1].isdigit() for cell in column if cell) for column in columns]
    lines = [titles, ["---:" if numbers else "---" for numbers in of_numbers], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def date_of(recorded):
    """Say on which day."""
    return datetime.fromisoformat(recorded["date"]).date().isoformat()


def machine_of(recorded):
    """Say on what machine, with how many threads."""
    machine, threads = recorded["machine"], recorded["threads"]
    instructions = recorded["versions"]["instruction_set"]
    return (
        f"{machine['cpu']} ({instructions}), {machine['memory_gib']:g} GiB, {machine['system']}, "
        f"{threads} thread{'s' if threads > 1 else ''}"
    )


def setup(app):
    """Tell Sphinx of the two directives."""
    app.add_directive("recorded", Recorded)
    app.add_directive("recorded-runs", RecordedRuns)
    return {"parallel_read_safe": True}
