"""Loss curves."""

import csv
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from keras_booth.tools.annotations import FilePath

# Of the colour-blind safe palette of Okabe and Ito.
COLORS = {"instance_loss": "#0072B2", "prior_loss": "#D55E00", "loss": "#009E73"}
SCORES = {
    "subject": ("subject", "#0072B2", "-"),
    "prompt": ("prompt", "#009E73", "-"),
    "drift": ("drift of the class (dotted: the base's)", "#D55E00", "--"),
    "diversity": ("diversity of the class", "#CC79A7", "--"),
}
LABELS = {"instance_loss": "subject", "prior_loss": "class (prior)", "loss": "loss"}


def loss_curves(log: FilePath) -> Figure:
    """Draws the losses of a run: each step faintly, and smoothed.

    Args:
        log: str or `Path` of a `log.csv` that `StepLog` wrote.

    Returns:
        `matplotlib.figure.Figure`; `figure.savefig(path)` writes it.
    """
    steps, losses = read_log(log)
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name in ("instance_loss", "prior_loss"):
        values = losses[name]
        if not np.any(values > 0):  # a run without class images has no prior loss
            continue
        known = ~np.isnan(values)
        axes.plot(steps[known], values[known], color=COLORS[name], alpha=0.22, linewidth=0.8)
        label = f"{LABELS[name]}: {smooth(values[known])[-1]:.3f} at the end"
        axes.plot(steps[known], smooth(values[known]), color=COLORS[name], linewidth=2, label=label)
    axes.set(xlabel="step", ylabel="loss", title="Loss at each step (faint) and smoothed")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)
    return figure


def score_curves(table: FilePath) -> Figure:
    """Draws how good a model was while it trained, and which of its weights were kept.

    Args:
        table: str or `Path` of a `best.csv` that `KeepBest` wrote.

    Returns:
        `matplotlib.figure.Figure`; `figure.savefig(path)` writes it.
    """
    with open(pathlib.Path(table), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, (label, color, line) in SCORES.items():
        values = [float(row[name] or math.nan) for row in rows]
        if not np.isnan(values).all():
            axes.plot(steps, values, line, color=color, linewidth=2, marker="o", markersize=3, label=label)
    axes.axhline(float(rows[0]["drift_limit"]), color=SCORES["drift"][1], linewidth=0.8, linestyle=":")
    kept = [step for step, row in zip(steps, rows, strict=True) if float(row["kept"])][-1]
    axes.axvline(kept, color="#666666", linewidth=1, label=f"kept: step {kept}")
    axes.set(
        xlabel="step", title="How well it draws the subject and what its prompts say, and what became of the class"
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def read_log(path: FilePath) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Reads a `log.csv`.

    Returns:
        `(steps, losses)`: an int array, and a dict of float arrays by name; a loss that a step did not have is NaN.
    """
    with open(pathlib.Path(path), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in ("loss", "instance_loss", "prior_loss") if not rows or name in rows[0]]
    losses = {name: np.array([float(row[name] or math.nan) for row in rows]) for name in names}
    return np.array([int(row["step"]) for row in rows]), losses


def smooth(values: Sequence[float] | np.ndarray, share: float = 0.05) -> np.ndarray:
    """Exponential moving average over about `share` of the series, without the usual pull towards 0 at its start."""
    decay = 1.0 - 1.0 / max(1.0, share * len(values))
    total, weight, smoothed = 0.0, 0.0, []
    for value in values:
        total, weight = decay * total + value, decay * weight + 1.0
        smoothed.append(total / weight)
    return np.array(smoothed)
