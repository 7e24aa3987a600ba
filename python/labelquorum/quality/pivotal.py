"""Random draws with given chances and a fixed size: the ordered pivotal method.

Deville and Tille, "Unequal probability sampling without replacement through a splitting method",
Biometrika 85, 1998. O(n).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pivotal_draw(
    chances: list[int], whole: int, random: np.random.RandomState
) -> NDArray[np.bool_]:
    """Draw items, each with its chance, as many as the chances sum to.

    Items are compared one after the other. One item holds an open chance; it meets the next item.
    If their chances sum to less than 1, one of the two takes both, and the other is out. If they
    sum to 1 or more, one of the two is drawn, and the other keeps the rest.

    Parameters
    ----------
    chances : list of int
        Chance of each item, from 0 to `whole`, in units of 1 / `whole`. They sum to a multiple of
        `whole`.
    whole : int
        The chance that means certain.
    random : RandomState

    Returns
    -------
    bool array of shape (n_items,)
        Whether each item is drawn.
    """
    drawn = np.zeros(len(chances), dtype=bool)
    holder, held = -1, 0
    coins = random.random_sample(len(chances)).tolist()
    for item, (chance, coin) in enumerate(zip(chances, coins, strict=True)):
        total = held + chance
        if total >= whole:
            if coin * (2 * whole - total) < whole - chance:
                drawn[holder] = True
                holder = item
            else:
                drawn[item] = True
            held = total - whole
        else:
            if coin * total < chance:
                holder = item
            held = total
    return drawn


def spread_draw(
    samples: NDArray[np.int64], n_drawn: int, random: np.random.RandomState
) -> NDArray[np.int64]:
    """Draw `n_drawn` of the samples, each with the same chance, spread over their order.

    The samples are cut into blocks of neighbors in the order. Blocks are drawn by the pivotal
    method, and one sample of each block drawn.
    """
    n = len(samples)
    block_size = n // n_drawn
    begins = np.arange(0, n, block_size)
    sizes = np.minimum(block_size, n - begins)
    is_drawn = pivotal_draw((n_drawn * sizes).tolist(), n, random)
    offsets = random.randint(sizes[is_drawn], dtype=np.int64)
    spread: NDArray[np.int64] = samples[begins[is_drawn] + offsets]
    return spread
