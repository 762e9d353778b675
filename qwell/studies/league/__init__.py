"""Leagues at equal error: networks of energies (`spectra`), and emulators (`emulators`)."""
