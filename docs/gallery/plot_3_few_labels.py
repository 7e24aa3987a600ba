"""
Fifty labels, well chosen
=========================

How accuracy on all images grows with the number of labels. `PreClusteringSampler` chooses which
images to label and predicts the others. For comparison, a logistic regression learns from random
images.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import labelquorum as lq

X, truth = load_digits(return_X_y=True)
X = X / 16

# Ask for ten labels at a time; truth stands for the person who gives them.
sampler = lq.PreClusteringSampler(random_state=0).fit(X)
chosen = {}
for n in range(10, 60, 10):
    queried = sampler.query(10)
    chosen[n] = sampler.teach(queried, truth[queried]).predict()

order = np.random.default_rng(0).permutation(len(X))
at_random = {
    n: LogisticRegression().fit(X[order[:n]], truth[order[:n]]).predict(X)
    for n in range(10, 60, 10)
}

display = lq.LearningCurveDisplay.from_predictions(truth, chosen, name="PreClusteringSampler")
lq.LearningCurveDisplay.from_predictions(
    truth, at_random, name="random, logistic regression", ax=display.ax_
)
