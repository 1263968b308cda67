"""One file in the layout in which Stable Diffusion was published."""
