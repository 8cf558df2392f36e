#!/usr/bin/env python3
"""Computes the polynomial coefficients of src/kernel/pointwise/vmath.inc.

Each is a weighted least-squares fit on Chebyshev nodes, reweighted (Lawson)
until the error is minimax; printed with that error, relative to the function
that the polynomial serves.  Needs numpy only.
"""
from math import erfc, exp, expm1, factorial, log, log1p, pi, sqrt, tanh

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


def tanh_rest(z):
    """(tanh(x)/x - 1) / z with z = x^2"""
    x = sqrt(z)
    if x < 0.1:
        series = [-1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925,
                  21844 / 6081075]
        return sum(c * z**k for k, c in enumerate(series))
    return (tanh(x) / x - 1) / z


def erf_ratio(z):
    """erf(x) / x with z = x^2; vmath.inc takes 1 off the constant term"""
    return 2 / sqrt(pi) * sum(
        (-1)**k * z**k / (factorial(k) * (2 * k + 1)) for k in range(30))


half = log(2) / 2
fit("exp", exp_rest, -half, half, 4, lambda r: r * r / exp(r))
fit("log", log_rest, sqrt(0.5) - 1, sqrt(2) - 1, 7,
    lambda f: abs(f**3 / log1p(f)) if abs(f) > 1e-6 else 0)
fit("tanh below 0.625, in x^2", tanh_rest, 0, 0.625**2, 4, lambda z: z)
fit("erf below 0.9, in x^2", erf_ratio, 0, 0.81, 6,
    lambda z: 1 / erf_ratio(z))
fit("-ln erfc on [0.9, 4]", lambda x: -log(erfc(x)), 0.9, 4, 7,
    lambda x: erfc(x) / (1 - erfc(x)))
