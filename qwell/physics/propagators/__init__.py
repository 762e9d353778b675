"""Propagators of the time-dependent Schrödinger equation on a ring: i ∂ψ/∂t = (T + V) ψ, ħ = m = 1.

`propagate` is the one entrance; `METHODS` are the family, a file each.
"""
