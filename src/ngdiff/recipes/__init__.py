"""Recipes of the paper's tables and figures (arXiv 2410.22086), and our numbers beside the paper's."""
