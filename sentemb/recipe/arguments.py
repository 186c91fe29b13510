"""The transformers `TrainingArguments` of a stage."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from sentemb.recipe.schema import TrainConfig


def training_arguments(settings: TrainConfig, folder: Path, metric: str | None) -> TrainingArguments:
    """Arguments for `MethodTrainer`.

    Args:
        settings: of the stage.
        folder: the stage's folder; checkpoints go to `folder/checkpoints`.
        metric: the name of the dev score that picks the best encoder, or None for no evaluation.
    """
    precision = _precision(settings.precision)
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
        eval_strategy="steps" if metric else "no",
        eval_steps=settings.eval_steps,
        eval_on_start=False,
        metric_for_best_model=metric,
        greater_is_better=True,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps or settings.eval_steps,
        save_total_limit=1,
        logging_steps=settings.log_steps,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_num_workers=settings.workers,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        use_cpu=not torch.cuda.is_available(),
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs: one process each (torchrun), never nn.DataParallel
    return arguments


def _precision(asked: str) -> str:
    if asked != "auto":
        return asked
    if not torch.cuda.is_available():
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
