#!/usr/bin/env python3
"""Computes the polynomial coefficients of src/kernel/pointwise/vmath.inc.

Each is a weighted least-squares fit on Chebyshev nodes, reweighted (Lawson)
until the error is minimax; printed with that error, relative to the function
that the polynomial serves.  Needs numpy only.
"""
from math import atan, erfc, exp, expm1, factorial, log, log1p, pi, sqrt, tanh

import numpy as np


def fit(name, f, a, b, degree, weight, nodes=2000, rounds=60):
    x = (a + b) / 2 + (b - a) / 2 * np.cos(
        np.pi * (np.arange(nodes) + 0.5) / nodes)
    y = np.array([f(t) for t in x])
    w = np.array([weight(t) for t in x])
    u = np.ones(nodes) / nodes
    v = np.vander(x, degree + 1, increasing=True)
    scale = np.abs(v).max(axis=0)
    for _ in range(rounds):
        s = w * np.sqrt(u)
        c = np.linalg.lstsq(v / scale * s[:, None], y * s, rcond=None)[0]
        c /= scale
        error = np.abs((v @ c - y) * w)
        u = u * error
        u /= u.sum()
    print(f"{name}: error {error.max():.2e}")
    for i, k in enumerate(c):
        print(f"  x^{i}: {float(np.float32(k))!r}")


def exp_rest(r):
    """(e^r - 1 - r) / r^2"""
    if abs(r) < 1e-2:
        return sum(r**k / factorial(k + 2) for k in range(12))
    return (expm1(r) - r) / (r * r)


def log_rest(f):
    """(ln(1 + f) - f + f^2/2) / f^3"""
    if abs(f) < 0.05:
        return sum((-1)**k * f**k / (k + 3) for k in range(25))
    return (log1p(f) - f + f * f / 2) / f**3


def atan_rest(z):
    """(atan(x)/x - 1) / z with z = x^2"""
    if z < 0.0025:
        return sum((-1)**(k + 1) * z**k / (2 * k + 3) for k in range(12))
    return (atan(sqrt(z)) / sqrt(z) - 1) / z


def fit_ratio(name, f, b, above, below, nodes=4000, rounds=80):
    """f(x) = x P(z) / Q(z) with z = x^2 on [0, b], Q(0) = 1: linear in the
    coefficients where the error is weighted by the Q of the round before."""
    z = b * ((1 - np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)) / 2)**2
    g = np.array([f(sqrt(t)) / sqrt(t) for t in z])
    u, q = np.ones(nodes) / nodes, np.ones(nodes)
    least, best = np.inf, None
    top = np.vander(z, above + 1, increasing=True)
    low = np.vander(z, below + 1, increasing=True)[:, 1:]
    for _ in range(rounds):
        s = np.sqrt(u) / (g * q)
        rows = np.hstack([top, -g[:, None] * low]) * s[:, None]
        scale = np.abs(rows).max(axis=0)
        c = np.linalg.lstsq(rows / scale, g * s, rcond=None)[0] / scale
        q = 1 + low @ c[above + 1:]
        error = np.abs(top @ c[:above + 1] / q / g - 1)
        if error.max() < least:
            least, best = error.max(), c
        u = u * error
        u /= u.sum()
    print(f"{name}: error {least:.2e}")
    for i, k in enumerate(best[:above + 1]):
        print(f"  P z^{i}: {float(np.float32(k))!r}")
    for i, k in enumerate(best[above + 1:]):
        print(f"  Q z^{i + 1}: {float(np.float32(k))!r}")


def erf_ratio(z):
    """erf(x) / x with z = x^2; vmath.inc takes 1 off the constant term"""
    return 2 / sqrt(pi) * sum(
        (-1)**k * z**k / (factorial(k) * (2 * k + 1)) for k in range(30))


half = log(2) / 2
fit("exp", exp_rest, -half, half, 4, lambda r: r * r / exp(r))
fit("log", log_rest, sqrt(0.5) - 1, sqrt(2) - 1, 7,
    lambda f: abs(f**3 / log1p(f)) if abs(f) > 1e-6 else 0)
fit_ratio("tanh below 9.1", tanh, 9.1**2, 4, 4)
fit("atan below 1, in x^2", atan_rest, 0, 1, 8,
    lambda z: z * sqrt(z) / atan(sqrt(z)))
fit("erf below 0.9, in x^2", erf_ratio, 0, 0.81, 6,
    lambda z: 1 / erf_ratio(z))
fit("-ln erfc on [0.9, 4]", lambda x: -log(erfc(x)), 0.9, 4, 7,
    lambda x: erfc(x) / (1 - erfc(x)))
