"""A learned linear projection of object features: shorter vectors in which alike objects meet."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from features.embedding.embedding import unit

BUNDLED = Path(__file__).parent.parent / "weights" / "projection.safetensors"


@dataclass(frozen=True, eq=False)
class Projection:
    """x -> unit((x - mean) matrix).

    mean: `(C,)` float32. matrix: `(C, E)` float32. learned_on: version of the features it was
    learned on; on others its numbers would mean nothing.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    learned_on: str

    @property
    def version(self) -> str:
        """Short hash of the numbers."""
        return hashlib.sha256(self.mean.tobytes() + self.matrix.tobytes()).hexdigest()[:12]

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit vectors `(N, E)` float32 of N features `(N, C)`; N may be 0.

        >>> turned = Projection(np.zeros(2, "f4"), np.array([[0, 1], [1, 0]], "f4"), "")
        >>> turned(np.array([[3, 4]], "f4")).round(3).tolist()
        [[0.800000011920929, 0.6000000238418579]]
        """
        return unit(np.asarray((vectors - self.mean) @ self.matrix, dtype=np.float32))


def save_projection(projection: Projection, path: Path, recipe: object = None) -> None:
    """Writes the matrix in half precision (.safetensors), what it is for beside it (.json)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {
        name: np.ascontiguousarray(getattr(projection, name), dtype=np.float16)
        for name in ("mean", "matrix")
    }
    path.write_bytes(save(half))
    described = {"learned_on": projection.learned_on, "recipe": recipe}
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")


def load_projection(path: Path = BUNDLED) -> Projection:
    """The projection that `save_projection` wrote; FileNotFoundError where a file is missing."""
    described = path.with_suffix(".json")
    if not (path.is_file() and described.is_file()):
        raise FileNotFoundError(f"There is no projection at {path}, or no .json beside it.")
    values = {name: value.astype(np.float32) for name, value in load_file(path).items()}
    learned_on = json.loads(described.read_text())["learned_on"]
    return Projection(values["mean"], values["matrix"], learned_on)
