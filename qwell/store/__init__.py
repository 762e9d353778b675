"""The data set on disk: what it holds, how it is written, read and checked. A leaf of the package."""
