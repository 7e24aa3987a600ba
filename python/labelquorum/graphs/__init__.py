"""Graphs of samples in compressed sparse rows (CSR), and clusterings of them.

In reading order:

- `csr`: symmetric forms, normalized weights, connected components
- `affinity`: the graph of nearest neighbors with weights that fall with the distance
- `communities`: groups of nodes that are densely connected (Leiden)
- `correlation`: clusters from weights that attract or repel
"""
