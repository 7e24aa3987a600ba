"""What many partitions agree on.

In reading order:

- `signatures`: the distinct rows of the partitions and their counts, `SignatureTable`
- `collapse`: run a kernel on the signatures, and give its values back to the samples
- `agreement`: how many partitions agree on two samples
- `mini_clusters`: groups of samples on which nearly all partitions agree
- `named`: the matrix that remembers names and weights of votes
- `weights`: votes of different kinds as one matrix, and the weight of an agreement
- `label_model`: what voters with the same names say together, and how reliable they are
- `codebooks`: clusterings stored as their centers, which vote on new samples
"""
