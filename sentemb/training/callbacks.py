"""What happens beside training: the method's own step, the metrics file, the progress display."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from transformers import TrainerCallback

from sentemb.training.collate import RowDataset

COLLAPSED = 0.05
"""A `spread` (see `sentemb.functional.collapse`) below this is a mean cosine above 0.997: a space without content."""
_QUIET = ("epoch", "grad_norm", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")


class EveryStep(TrainerCallback):  # type: ignore[misc]  # transformers is seen as Any
    """Calls what a method does beside its loss; logs and evaluates at the last step whatever the intervals say.

    Args:
        method: an `nn.Module` that satisfies `sentemb.types.Method`.
        data: the training rows, told which epoch it is.
    """

    def __init__(self, method: nn.Module, data: RowDataset) -> None:
        self.method: Any = method
        self.data = data

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Before the first batch is read, also of an epoch that is taken up in its middle."""
        self.data.epoch = int((state.epoch or 0) + 1e-6)
        self.method.before_epoch(self.data.epoch, self.data.first_texts())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the optimiser's step."""
        self.method.after_step(state.global_step, state.max_steps)
        if state.global_step >= state.max_steps:
            control.should_log = True
            control.should_evaluate = args.eval_strategy != "no"


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Appends what is logged to a JSON-lines file: step, epoch, loss and its parts, learning rate, dev scores.

    Args:
        file: the file; on resume the lines after the checkpoint's step are dropped, since those steps come again.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drops the lines of steps that will be taken again."""
        if self.file.exists() and state.is_world_process_zero:
            lines = self.file.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _is_whole(line) and json.loads(line)["step"] <= state.global_step]
            self.file.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """One line."""
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


def _is_whole(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:  # a line cut short when the run was killed
        return False


class ProgressDisplay(TrainerCallback):  # type: ignore[misc]
    """A progress bar with loss, dev score and time left on a terminal; a plain line per log otherwise.

    Args:
        console: where to write (stderr).
        title: what stands before the bar.
    """

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.progress: Progress | None = None
        self.latest: dict[str, float] = {}
        self.started = 0.0
        self.first_step = 0
        self.warned = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Opens the bar."""
        self.started, self.first_step = time.monotonic(), state.global_step
        if not (state.is_world_process_zero and self.console.is_terminal):
            return
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.progress.start()
        self.task = self.progress.add_task(self.title, total=state.max_steps, completed=state.global_step, text="")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Moves the bar."""
        if self.progress is not None:
            self.progress.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Shows the newest figures."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        news = {name.removeprefix("eval_"): value for name, value in logs.items() if name not in _QUIET}
        self.latest |= news
        if logs.get("spread", 1.0) < COLLAPSED and not self.warned:
            self.warned = True
            self.console.print(
                f"{self.title}: step {state.global_step}: the embeddings have collapsed: nearly all point the same way "
                f"(spread {logs['spread']:.2g} of 1). Lower train.learning_rate, or use an objective with negatives.",
                soft_wrap=True,
            )
        text = "  ".join(f"{name} {value:.4g}" for name, value in (self.latest if self.progress else news).items())
        if self.progress is not None:
            self.progress.update(self.task, text=text)
        else:
            taken = time.monotonic() - self.started
            steps = state.global_step - self.first_step
            left = f", {taken / steps * (state.max_steps - state.global_step):.0f} s left" if steps else ""
            self.console.print(
                f"{self.title}: step {state.global_step}/{state.max_steps}  {text}{left}", soft_wrap=True
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Closes the bar."""
        self.close()

    def close(self) -> None:
        """Closes the bar, also when training was cut short."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
