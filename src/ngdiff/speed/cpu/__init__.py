"""Ways that serve CPUs only."""
