"""A flow as the last module of a `SentenceTransformer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentence_transformers.base.modules import Module
from torch import Tensor

from sentemb.errors import ModelError
from sentemb.postprocess.flow import Flow
from sentemb.postprocess.flow_files import CONFIG, WEIGHTS, read_flow, write_flow


class FlowModule(Module):  # type: ignore[misc]
    """Maps `sentence_embedding` (N, D) to the latent vector z (N, D) of a fitted flow, frozen.

    sentence-transformers has no flow of its own, so it opens a saved encoder that ends in one only with
    `trust_remote_code=True` and sentemb installed; `sentemb.load` opens it as it is. The embedding leaves in the flow's
    precision, whatever it comes in.

    Args:
        flow: fitted; its parameters get no gradient from here on.

    Raises:
        ModelError: the flow was never fitted.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        if not flow.initialised:
            raise ModelError("flow", "it was never fitted", "Fit it on embeddings first")
        self.flow = flow.eval().requires_grad_(False)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The features with `sentence_embedding` replaced."""
        embedding: Tensor = features["sentence_embedding"]
        features["sentence_embedding"], _ = self.flow(embedding.to(next(self.flow.parameters()).dtype))
        return features

    def get_embedding_dimension(self) -> int:
        """D, which a flow keeps."""
        return self.flow.width

    def get_config_dict(self) -> dict[str, Any]:
        """The width and the architecture."""
        return dict(self.flow.config())

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Writes the files of `save_flow`; the weights are safetensors whatever is asked."""
        write_flow(self.flow, Path(output_path))

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> FlowModule:
        """Opens the module from a folder or from the hub; of `kwargs` only where to look in the hub matters.

        Raises:
            ModelError: a file is missing or damaged.
        """
        where = {
            name: kwargs[name] for name in ("token", "cache_folder", "revision", "local_files_only") if name in kwargs
        }
        files = [
            cls.load_file_path(model_name_or_path, filename=name, subfolder=subfolder, **where)
            for name in (CONFIG, WEIGHTS)
        ]
        if None in files:
            problem = f"{subfolder or 'the folder'} lacks {CONFIG} or {WEIGHTS}, so this is no saved flow"
            raise ModelError(model_name_or_path, problem, "Save the encoder again")
        return cls(read_flow(*map(Path, files)))
