"""Where runs are done: `local` (processes of this machine) or `ray` (a cluster)."""
