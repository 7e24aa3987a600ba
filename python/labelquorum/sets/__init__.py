"""Clusters within sets of items, learned from sets whose clusters are known.

In reading order:

- metrics: how well the clusters of sets are recovered.
- examples: the arguments of `fit` and `predict`, checked.
- pairs: pairs of the items of a set, how they are numbered and drawn.
- base: what the estimators share: held-out sets, tuning, and clusters from probabilities of pairs.
- pairwise: `PairwiseSetClusterer`, which looks at pairs. `SetClusterer`, which looks at whole sets,
  needs PyTorch and is in ``labelquorum.deep``.
"""
