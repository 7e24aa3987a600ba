"""
What is new?
============

A model has seen the digits 0 to 7 and now gets all ten. Novelty scores of familiar samples are
spread evenly between 0 and 1. The excess at high scores comes from new samples.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import labelquorum as lq

X, truth = load_digits(return_X_y=True)
seen = (np.arange(len(X)) % 2 == 0) & (truth < 8)
new = np.arange(len(X)) % 2 == 1
model = lq.ConsensusClusterer(8, random_state=0).fit(X[seen])
novelty = model.novelty(X[new])
print(novelty)

is_new = truth[new] >= 8
figure, ax = plt.subplots(figsize=(5, 3.5))
ax.hist(
    [novelty.scores[~is_new], novelty.scores[is_new]],
    bins=20,
    range=(0, 1),
    stacked=True,
    label=["digits 0 to 7", "digits 8 and 9"],
)
ax.set(xlabel="novelty score", ylabel="new samples")
ax.legend()
figure.tight_layout()
