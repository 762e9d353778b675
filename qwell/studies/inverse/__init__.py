"""Potentials from wave functions: given ψ, find V and E with (−½∇² + V)ψ = Eψ (Hong et al., MPNN).

systems.py   states with closed forms, and what is exactly true of them
grids.py     states given on a grid, by a data set or a file
config.py    how a potential is looked for, with every default
fields.py    the networks U_θ(r), and what coordinates they see
losses.py    QPNN, MPNN, and the variance of the local energy
finder.py    the training, by Adam and Gauss–Newton
noise.py     errors against noise, beside pointwise inversion
report.py    errors three ways, energies with their own, tables and figures
"""
