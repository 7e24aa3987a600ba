"""Semi-supervised classifiers: estimators that learn from labeled and unlabeled samples.

Read ``propagation`` (labels spread over a graph of neighbors), ``knn_label_propagation`` (the
nearest labeled samples vote, with cross-validated settings), ``separators`` (semi-supervised
support vector machines for two classes: objectives and minima), then ``s3vm`` (the estimator
`S3VM`, for any number of classes).
"""
