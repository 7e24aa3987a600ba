"""
Fifty labels, well chosen
=========================

Accuracy on all images by the number of labels: what `PreClusteringSampler` asks for and makes of
the answers, beside labels of random images and a classifier that learns from these.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import labelquorum as lq

X, truth = load_digits(return_X_y=True)
X = X / 16
budgets = range(10, 60, 10)

model = lq.PreClusteringSampler(random_state=0).fit(X)
chosen = []
for _ in budgets:
    asked = model.query(10)
    chosen.append((model.teach(asked, truth[asked]).predict() == truth).mean())

order = np.random.default_rng(0).permutation(len(X))
at_random = [
    LogisticRegression().fit(X[order[:n]], truth[order[:n]]).score(X, truth) for n in budgets
]

figure, ax = plt.subplots(figsize=(5, 3.5))
ax.plot(budgets, chosen, marker="o", label="PreClusteringSampler")
ax.plot(budgets, at_random, marker="s", label="random, logistic regression")
ax.set(xlabel="labels", ylabel="accuracy", ylim=(0, 1), xticks=budgets)
ax.grid(alpha=0.3)
ax.legend()
figure.tight_layout()
