"""The introspective learner: from densities to the Schrödinger equation (after arXiv:1901.11103).

translate.py     a network that predicts densities, and which of its hidden states matter
distil.py        how many numbers those states need: a scan over latent dimensions, with a verdict
law.py           what the two numbers are, in ways that do not depend on a basis
density_form.py  the same law in three numbers, without a wave function
config.py        how, with every default
pipeline.py      all of it, in order
keeping.py       networks of the stages, kept in the run
report.py        the table, numbers and figures
"""
