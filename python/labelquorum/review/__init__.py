"""Suggested labels for review in other tools, and the answers of the people who review them.

The tools are Label Studio, Argilla and spreadsheets (CSV). Suggestions carry the number of each
sample, so answers come back as one array with a label, or none, for each sample. Nothing here talks
to a server: it makes what those tools import, and reads what they export.

If several people answer, a sample gets the label that most of them chose. After a tie it gets none
and is listed as disputed. Each person has one vote, the last answer.

Read in this order: ``suggestions`` (the way out), ``answers`` (the way back), ``cells`` (text that
a spreadsheet must not run).
"""

from __future__ import annotations

from labelquorum.review.answers import Answers, read_argilla, read_csv, read_label_studio
from labelquorum.review.suggestions import (
    argilla_records,
    label_studio_config,
    label_studio_tasks,
    write_csv,
)

__all__ = [
    "Answers",
    "argilla_records",
    "label_studio_config",
    "label_studio_tasks",
    "read_argilla",
    "read_csv",
    "read_label_studio",
    "write_csv",
]
