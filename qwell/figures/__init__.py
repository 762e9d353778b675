"""Figures from arrays, one function each. A leaf: it knows numpy and matplotlib only."""
