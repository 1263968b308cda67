"""Many runs: their plan, where they are done, and what is made of their results."""
