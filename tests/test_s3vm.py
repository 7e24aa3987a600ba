"""S3VM: objectives against sums and differences, limits, contracts of scikit-learn."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq

# scikit-learn exempts its own estimators, by name, from taking -1 for a class.
MINUS_ONE = {"check_classifiers_classes": "-1 is no class but the lack of a label"}


@parametrize_with_checks(
    [lq.S3VM(), lq.S3VM("rbf"), lq.S3VM(safe=True)], expected_failed_checks=lambda _: MINUS_ONE
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
