"""Files that the command line reads and writes.

Read in this order: ``sources`` (finding and opening files), ``columns`` (the one reader of tables),
``numeric`` (numbers from columns); then what commands need: ``partitions``, ``features``,
``labels``, ``texts``, ``records`` (ids, texts and other columns that results carry), ``results``
(tables that are written), ``folders`` (folders of .parquet files
on Dask).
"""
