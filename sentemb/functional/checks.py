"""What an objective refuses: a shape, a range or a batch that has no loss. It names the value and what is accepted."""

from __future__ import annotations

from torch import Tensor


def check_above_zero(name: str, value: float) -> None:
    """Refuses a value that is not above 0.

    Raises:
        ValueError: `value` ≤ 0 or NaN.
    """
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value}")


def check_rows(**rows: Tensor) -> None:
    """Refuses embeddings that are not one batch: each (B, D) float, the same shape, B ≥ 1.

    Raises:
        ValueError: another number of axes, different shapes, or no rows.
    """
    shapes = {name: tuple(value.shape) for name, value in rows.items()}
    text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"embeddings must be (B, D), not {text}")
    if len(set(shapes.values())) > 1:
        raise ValueError(f"embeddings must have one shape, not {text}")
    if 0 in next(iter(shapes.values())):
        raise ValueError(f"an empty batch has no loss: {text}")


def check_labels(labels: Tensor, n_rows: int) -> None:
    """Refuses labels that are not one whole number a row.

    Raises:
        ValueError: not (n_rows,), or a float dtype.
    """
    if tuple(labels.shape) != (n_rows,) or labels.is_floating_point():
        raise ValueError(f"labels must be ({n_rows},) whole numbers, not {tuple(labels.shape)} {labels.dtype}")


def check_positive_pair(labels: Tensor) -> None:
    """Refuses labels (N,) of which no two are alike: a batch without a positive pair.

    Raises:
        ValueError: every label occurs once.
    """
    if (labels.sort().values.diff() != 0).all():
        raise ValueError(f"two rows or more must share a label, not {len(labels)} rows with a label each")


def check_two_classes(labels: Tensor) -> None:
    """Refuses labels (N,) that are all alike: a batch without a negative.

    Raises:
        ValueError: one label in all rows.
    """
    if (labels == labels[0]).all():
        raise ValueError(f"labels must be of two classes or more, not {len(labels)} rows of class {labels[0].item()}")


def check_views(**views: Tensor) -> None:
    """Refuses what is not several views of one batch: each (V, B, K) float, the same shape, V ≥ 2, B and K ≥ 1.

    Raises:
        ValueError: another number of axes, different shapes, one view only, or an axis of length 0.
    """
    shapes = {name: tuple(value.shape) for name, value in views.items()}
    text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if any(len(shape) != 3 for shape in shapes.values()):
        raise ValueError(f"views must be (V, B, K), not {text}")
    if len(set(shapes.values())) > 1:
        raise ValueError(f"views must have one shape, not {text}")
    n_views, *others = next(iter(shapes.values()))
    if n_views < 2:
        raise ValueError(f"2 views or more are needed, not {text}")
    if 0 in others:
        raise ValueError(f"an empty batch has no loss: {text}")
