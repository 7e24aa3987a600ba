"""
Categories of handwritten digits
================================

Nobody has labelled these 1,797 images. `ConsensusClusterer` finds ten categories.
"""

from sklearn.datasets import load_digits

import labelquorum as lq

X, truth = load_digits(return_X_y=True)
model = lq.ConsensusClusterer(10, random_state=0).fit(X)

# %%
# The most certain images of each:

lq.ClusterGridDisplay.from_estimator(model, X, image_shape=(8, 8), n_samples=8)

# %%
# Which categories do the votes confuse? Each square is how often clusterings put a sample of one
# and a sample of the other together:

lq.AgreementDisplay.from_estimator(model)

# %%
# How sure are the labels, and, since true labels exist here, how many of them are right?

lq.CoveragePrecisionDisplay.from_estimator(model, truth)
