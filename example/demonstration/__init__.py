"""The demo that ``make demo`` runs: the same site, shown in a terminal."""
