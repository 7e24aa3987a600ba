"""Active learning: choose which samples a person should label.

Read ``representatives`` (`RepresentativeSampler` chooses all samples at once), ``answers`` (the
book of labels given so far), ``walks`` (random walks that spread labels and score questions),
``small_clusters`` (the clusters that the walks visit), ``pre_clustering`` (`PreClusteringSampler`
asks one question after another), ``sampler_file`` (its file format), then ``session`` (a labeling
session of one person, with undo and replay).
"""
