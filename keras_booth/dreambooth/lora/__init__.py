"""Low-rank adaptation: what trains, its layers, its files."""
