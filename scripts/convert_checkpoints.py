"""Give the shipped checkpoints the state-dict keys of the second edition; it was run once.

python -m scripts.convert_checkpoints
"""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from minigpt.utils.files import write_checksums

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
PREFIXES = {"token.": "token_embedding.", "norm.": "final_norm.", "head.": "lm_head."}


def new_key(key: str) -> str:
    """Return the second edition's name of a parameter."""
    return next((new + key.removeprefix(old) for old, new in PREFIXES.items() if key.startswith(old)), key)


def convert(folder: Path) -> None:
    """Rename the tensors and the configuration's list of custom components; the numbers stay as they are."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if "replaced" in config:
        config["custom_components"] = config.pop("replaced")
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if (folder / "model.safetensors").exists():
        path = str(folder / "model.safetensors")
        with safe_open(path, "pt") as file:
            shared = {new_key(one): new_key(other) for one, other in (file.metadata() or {}).items()}
        save_file({new_key(key): tensor for key, tensor in load_file(path).items()}, path, metadata=shared or None)
        (folder / "SHA256SUMS").unlink()
        readme = (folder / "README.md").read_bytes()
        (folder / "README.md").unlink()
        write_checksums(folder)
        (folder / "README.md").write_bytes(readme)


if __name__ == "__main__":
    for path in sorted(CHECKPOINTS.iterdir()):
        convert(path)
