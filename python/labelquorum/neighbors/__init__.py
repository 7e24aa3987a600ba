"""Nearest neighbors, exact or with a promised recall.

In reading order:

- `search`: the neighbors of every sample, and graphs of them
- `searcher`: `NeighborSearcher`, which answers queries about a fixed set of samples
- `tuned_index`: choose, build and tune an index until it reaches the recall
- `faiss_index`: the two kinds of index; all contact with faiss
- `searcher_file`: the file format of saved searchers
- `kmeans`: centers of clusters
- `transformer`: `KNeighborsTransformer`, for scikit-learn's pipelines
"""
