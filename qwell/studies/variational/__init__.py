"""Ground states by the variational principle: Ē[φ] = ⟨φ|H|φ⟩/⟨φ|φ⟩ ≥ E₀, φ a network (derivatives paper, §3).

potentials.py   what to solve: the paper's six wells, or a formula
trial.py        φ(x) = (x − a)(b − x) N(x), its derivatives, and rules of integration
minimise.py     Adam, L-BFGS, and the linear method, which solves for all parameters at once
config.py       how they are looked for, with every default
states.py       the states of a well, one after another, with what says how good they are
sampled.py      two and more dimensions: Monte Carlo
"""
