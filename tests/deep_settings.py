"""Settings with which deep estimators train in a second or two."""

SMALL = {"hidden": (16,), "batch_size": 50, "learning_rate": 0.01, "random_state": 0}
ENSEMBLE = SMALL | {
    "n_networks": 3,
    "n_rounds": 1,
    "n_steps": 20,
    "n_first_steps": 60,
    "labeled_batch_size": 20,
}
