"""What a run of training has around its steps: what is checked beforehand, the fit, what a resumed run must share."""
