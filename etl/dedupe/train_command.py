"""`dedupe model train`: learn the weights anew from the staged records, and keep the model before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etl.dedupe.model_view import ModelComparison, ModelView, compare_models, keep_model, model_path, read_model_view
from etl.dedupe.plan import limits_of
from etl.dedupe.read_model import open_model
from etl.dedupe.records import read_records
from etl.dedupe.train import train_model
from etl.mapping.load_mapping import load_mapping
from etl.personal_files import make_private_folder
from etl.progress import Progress
from etl.settings import Settings


@dataclass(frozen=True)
class Trained:
    """The model now in use, and how it differs from the one before, which is kept at `earlier`."""

    model: ModelView
    change: ModelComparison | None
    earlier: Path | None


def train_and_keep(settings: Settings, progress: Progress) -> Trained:
    """Standardise the staged records, train, and put the model where `dedupe run` takes it from.

    Raises RefusedError when too little is staged to learn from, or a blocking rule is over the budget.
    """
    comparison_set = open_model(settings.dedupe.model)
    folder = make_private_folder(settings.dedupe_dir / "plan")
    records = read_records(settings, load_mapping(settings.mapping, settings.config_dir), comparison_set, folder, progress)
    progress.start("train", None, "steps")
    model = train_model(records.path, comparison_set, limits_of(settings))
    path = model_path(settings)
    before = read_model_view(settings) if path.is_file() else None
    kept, earlier = keep_model(model, path)
    progress.finish("train")
    return Trained(kept, compare_models(before, kept) if before is not None else None, earlier)
