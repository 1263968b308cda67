"""Each way to fine-tune learns the quickstart's subject in each precision, by the README's measure; minutes each."""

import csv

import pytest

from keras_booth import sweep

PRECISIONS = ["float32", "mixed_bfloat16", "mixed_float16"]


@pytest.mark.huge
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_learns_the_subject(dtype, tmp_path):
    """The five variants with three seeds each: some three quarters of an hour on two cores."""
    flags = ["sweep_variants", "--base.preset", "tiny_world", "--base.dtype", dtype, "--output", str(tmp_path / "out")]
    assert sweep.main([*flags, "--sweep.seeds", "3", "--jobs", "2"]) == 0
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 3
    for row in rows:
        print(dtype, row["label"], row["run"], row["fidelity"], row["setting"], row["drift"])
    assert min(float(row["fidelity"]) for row in rows) >= 0.9
    # Without prior loss every dog becomes that dog; what is drawn of the subject is what counts.
    assert max(float(row["drift"]) for row in rows if "prior" in row["label"]) <= 0.15
