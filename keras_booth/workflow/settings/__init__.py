"""How the settings of a run are read: texts that look like numbers, and configs that come along."""
