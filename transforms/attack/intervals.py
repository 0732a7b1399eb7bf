"""How sure a rate is, and a difference of two rates of the same people.

Source: Wilson (1927); Newcombe, Statistics in Medicine 17 (1998) 2635, method 10 (paired, with continuity left out).
"""

from __future__ import annotations

import math

Z = 1.959963984540054  # 95 %


def wilson(hits: int, n: int, z: float = Z) -> tuple[float, float]:
    """Return the 95 % interval of a proportion; (0, 1) where nobody was asked."""
    if n == 0:
        return 0.0, 1.0
    p, square = hits / n, z * z
    middle, width = p + square / (2 * n), z * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
    low, high = (middle - width) / (1 + square / n), (middle + width) / (1 + square / n)
    return max(0.0, low), min(1.0, high)


def paired_difference(both: int, first: int, second: int, neither: int) -> tuple[float, float, float]:
    """Return the difference of two rates of the same people and its 95 % interval.

    Args:
        both: people with both outcomes; ``first``, ``second``: with one alone; ``neither``: with none.
    """
    n = both + first + second + neither
    if n == 0:
        return 0.0, -1.0, 1.0
    p, q = (both + first) / n, (both + second) / n
    (low_p, high_p), (low_q, high_q) = wilson(both + first, n), wilson(both + second, n)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    phi = (both * neither - first * second) / math.sqrt(margins) if margins else 0.0
    down, up = (p - low_p, high_q - q), (high_p - p, q - low_q)
    low = p - q - math.sqrt(max(0.0, down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2))
    high = p - q + math.sqrt(max(0.0, up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2))
    return p - q, max(-1.0, low), min(1.0, high)
