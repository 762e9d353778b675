"""Random potentials v ~ N(0, K), drawn in blocks of 1,000 with one random stream a block.

The factor is the symmetric square root K^{½} = Q √max(Λ, 0) Qᵀ of the eigen-decomposition K = QΛQᵀ.
It exists for the numerically singular RBF covariance too (the clipped eigenvalues are below 1e-13 of the
largest), needs no jitter on the diagonal, and does not depend on the signs or order of eigenvectors.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput

BLOCK = 1000  # rows drawn from one random stream; content is defined block by block
LARGEST = (
    1e30  # numbers of recipes, and 1/LARGEST the smallest that must be positive: squares stay in float64
)
STREAMS = {"train": 0, "validation": 1, "test": 2}


def factor(covariance: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p p"]:
    """K^{½}, symmetric, so that K^{½} z ~ N(0, K) for z ~ N(0, 1).

    Arguments:
        covariance: (p, p) float64, symmetric, positive up to rounding.

    Returns: (p, p) float64 with K^{½}K^{½} = K to 1e-12 of the largest eigenvalue.

    Raises InvalidInput if it is no covariance: an eigenvalue is negative beyond rounding.
    """
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -1e-9 * values[-1]:
        raise InvalidInput(
            f"the kernel is no covariance: its matrix on the mesh has eigenvalues from {values[0]:.3g} to"
            f" {values[-1]:.3g}, and none may be negative; choose a positive definite function"
        )
    root: np.ndarray = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return root


def block(root: Float[np.ndarray, "p p"], seed: int, split: str, index: int) -> Float[np.ndarray, "1000 p"]:
    """Potentials number 1000·index … 1000·index + 999 of a split.

    Arguments:
        root: (M+1, M+1) the factor K^{½}.
        seed: of the data set.
        split: "train", "validation" or "test": independent streams.
        index: of the block.

    Returns: (1000, M+1) float64, a function of the arguments alone.
    """
    stream = np.random.SeedSequence(seed, spawn_key=(STREAMS[split], index))
    normals = np.random.Generator(np.random.SFC64(stream)).standard_normal((BLOCK, len(root)))
    potentials: np.ndarray = normals @ root
    return potentials


def rows(
    root: Float[np.ndarray, "p p"], seed: int, split: str, start: int, stop: int
) -> Float[np.ndarray, "{stop}-{start} p"]:
    """Potentials `start` … `stop − 1` of a split, (stop − start, M+1) float64."""
    first = start // BLOCK
    blocks = [block(root, seed, split, i) for i in range(first, -(-stop // BLOCK))]
    drawn = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return drawn[start - first * BLOCK : stop - first * BLOCK]
