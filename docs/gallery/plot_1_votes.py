"""
Three models vote
=================

Three clusterings of the same points each make mistakes, but in different places. Points that all
three put together become mini-clusters. These leave out doubtful points, and what remains is enough
to train a classifier.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsClassifier

import labelquorum as lq

X, _ = make_blobs(600, centers=4, cluster_std=1.1, center_box=(-5, 5), random_state=3)
partitions = np.column_stack(
    [KMeans(k, n_init=1, random_state=k).fit_predict(X) for k in (4, 5, 6)]
)
pseudo_labels = lq.mini_clusters(partitions, n_clusters=4, min_differ=0.6)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), sharex=True, sharey=True)
titles = ["4 clusters", "5 clusters", "6 clusters", "mini-clusters of all three"]
for ax, title, labels in zip(axes, titles, [*partitions.T, pseudo_labels], strict=True):
    ax.scatter(*X[labels < 0].T, s=8, color="0.8")
    ax.scatter(*X[labels >= 0].T, s=8, c=labels[labels >= 0], cmap="viridis")
    ax.set(title=title, xticks=[], yticks=[])
figure.tight_layout()

# %%
# Gray points have no pseudo-label. A classifier that learns from the other points labels them all:

has_label = pseudo_labels >= 0
labels = KNeighborsClassifier().fit(X[has_label], pseudo_labels[has_label]).predict(X)
figure, ax = plt.subplots(figsize=(4, 3.2))
ax.scatter(*X.T, s=8, c=labels, cmap="viridis")
ax.set(title="learned from mini-clusters", xticks=[], yticks=[])
figure.tight_layout()
