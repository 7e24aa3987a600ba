"""The ground that all families stand on; nothing here knows of any of them.

In reading order:

- `arguments`: checks of arguments, and their errors
- `labels`: known labels and groups as numbers, and numbers as labels
- `frame`: samples as float32 rows
- `files`: files that appear when they are complete
- `progress`: the display of progress
- `html`: results in notebooks
- `versions`: `show_versions`
"""
