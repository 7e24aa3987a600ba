"""How good labels and clusters are, from true labels, checks by hand and held-out samples.

In reading order:

- `metrics`: accuracy of clusters under the best matching with classes;
- `checks`: bounds on the precision of labels from some that were checked by hand;
- `answers`: labels, and the answers of whoever checks them;
- `pivotal`: the random draw of the samples to check;
- `coverage`: precision of the most confident labels;
- `learning_curve`: accuracy by the number of labels given;
- `evaluation`: clusters and a classifier on held-out samples.
"""
