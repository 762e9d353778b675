"""Derivatives of a network with parameter gradients, ours and by automatic differentiation, side by side.

A perceptron of 5 × 10 tanh neurons, float64, one output; the functional whose parameter gradient is taken
is linear in (y, ∂y, ∂²y) with random coefficients. folx (forward Laplacian, JAX, compiled) is timed too where
it is installed; it makes Laplacians only.

    export XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    python benchmarks/derivatives.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec

import torch
from common import best, report

from qwell.models.fields import perceptron
from qwell.studies.derivative_times import METHODS, seconds

LAYERS = (10,) * 5
PEERS = ("double backward", "jacfwd(grad)", "jvp of grad")
MOST = 80_000  # inputs × points beyond which peers' graphs do not fit


def folx_laplacian(inputs: int, batch: int) -> Callable[[], object]:
    """The same with JAX: y, ∂y and the Laplacian, and the gradient of a linear functional of them."""
    import folx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    network = perceptron(inputs, LAYERS)
    weights = [jnp.array(p.detach().numpy()) for p in network.parameters()]
    x = jnp.array(torch.randn(batch, inputs, dtype=torch.float64).numpy())

    def value(w: list, p: object) -> object:
        for i in range(0, len(w) - 2, 2):
            p = jnp.tanh(w[i] @ p + w[i + 1])
        return (w[-2] @ p + w[-1])[0]

    def total(w: list) -> object:
        out = jax.vmap(folx.forward_laplacian(lambda p: value(w, p)))(x)
        return out.x.sum() + out.jacobian.dense_array.sum() + out.laplacian.sum()

    gradient = jax.jit(jax.grad(total))
    return lambda: jax.block_until_ready(gradient(weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", default="1,3,16,64")
    parser.add_argument("--batches", default="1,1000,10000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1.5, help="seconds for each number")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: dict[str, float | None] = {}
    for inputs in map(int, arguments.inputs.split(",")):
        for batch in map(int, arguments.batches.split(",")):
            for order in ("hessian", "diagonal", "laplacian"):
                torch.manual_seed(0)
                network = perceptron(inputs, LAYERS)
                x = torch.randn(batch, inputs, dtype=torch.float64)
                took = {}
                for name in ("qwell", *PEERS):
                    fits = inputs * batch <= MOST or (inputs < 64 and name != "jacfwd(grad)")
                    if name == "qwell" or fits:
                        took[name] = seconds(METHODS[name], network, x, order, True, arguments.patience)
                if order == "laplacian" and find_spec("folx") and find_spec("jax"):
                    took["folx (JAX)"] = best(folx_laplacian(inputs, batch), 10)[0]
                case = f"{inputs} inputs, {batch:,} points, {order}"
                for name, t in took.items():
                    rows[f"{case}: {name}, µs a point"] = t / batch * 1e6
                if theirs := [took[name] for name in PEERS if name in took]:
                    rows[f"{case}: fastest torch peer over qwell"] = min(theirs) / took["qwell"]
                print(case, {name: round(t / batch * 1e6, 2) for name, t in took.items()}, flush=True)
    report("derivatives", f"python benchmarks/derivatives.py --threads {arguments.threads}", rows)


if __name__ == "__main__":
    main()
