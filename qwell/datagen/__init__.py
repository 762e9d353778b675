"""Making data: grids, kernels, potentials, spectra, and the pipeline that writes them to a store."""
