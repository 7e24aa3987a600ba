"""Categories from many clusterings: base partitions, their consensus, and the estimator.

In reading order:

- `views`: graphs of neighbors, and the partitions that each of them gives
- `heads`: linear classifiers trained without labels on pairs of near neighbors
- `ballots`: partitions as votes, collapsed into signatures
- `chance`: partitions that change nothing, such as columns of noise
- `consensus`: trees of signatures, and one partition from many
- `evidence`: how many votes heads deserve beside views
- `base_partitions`: many partitions of the same samples, from views and heads, or clusterers
- `named_votes`: votes with names, and which of them to believe
- `known`: which samples belong to known categories, by a classifier and by the votes
- `diffusion`: coordinates of a random walk, and how well clusters are separated in them
- `structure`: a test of whether samples have clusters at all
- `number_of_clusters`: the number of clusters for which views agree and clusters are separated most
- `outcome`: the category of each sample, and its shares of all categories
- `layers`: nested partitions around the chosen one
- `layered`: what the estimator does with its tree after a fit
- `explanation`: why a sample is in its category, and the table of categories
- `novelty`: what is new in new samples
- `clusterer`: `ConsensusClusterer`, which does all of this
"""
