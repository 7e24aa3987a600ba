"""The command ``labelquorum label``: label texts in the terminal.

Read in this order: ``command`` (arguments, files, the sampler), ``terminal`` (what is shown and
which keys are read), ``answers_file`` (answers on disk, none of which is lost).
"""
