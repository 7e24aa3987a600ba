"""
Fifty labels, well chosen
=========================

Accuracy on all images by the number of labels: what `PreClusteringSampler` asks for and makes of
the answers, beside labels of random images and a classifier that learns from these.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import labelquorum as lq

X, truth = load_digits(return_X_y=True)
X = X / 16

sampler = lq.PreClusteringSampler(random_state=0).fit(X)
chosen = lq.LearningCurveDisplay.from_estimator(
    sampler, truth, n_labels=50, name="PreClusteringSampler"
)

order = np.random.default_rng(0).permutation(len(X))
at_random = {
    n: LogisticRegression().fit(X[order[:n]], truth[order[:n]]).predict(X)
    for n in range(10, 60, 10)
}
lq.LearningCurveDisplay.from_predictions(
    truth, at_random, name="random, logistic regression", ax=chosen.ax_
)
