"""
Categories of handwritten digits
================================

`ConsensusClusterer` finds ten categories in 1,797 images without a label.
"""

from sklearn.datasets import load_digits

import labelquorum as lq

X, truth = load_digits(return_X_y=True)
model = lq.ConsensusClusterer(10, random_state=0).fit(X)

# %%
# The most certain images of each category:

lq.ClusterGridDisplay.from_estimator(model, X, image_shape=(8, 8), n_samples=8)

# %%
# Which categories do the clusterings confuse? Each square shows how often they put a sample of one
# category and a sample of the other together:

lq.AgreementDisplay.from_estimator(model)

# %%
# How confident are the labels? And how many are right? The true labels, known here, tell:

lq.CoveragePrecisionDisplay.from_estimator(model, truth)
