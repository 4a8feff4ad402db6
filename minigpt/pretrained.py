"""GPT-2's weights in and out: folders in Hugging Face's layout, `config.json` beside `model.safetensors`."""

import errno
import json
import re
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from minigpt.config import require
from minigpt.errors import UserError, named
from minigpt.files import replacing
from minigpt.gpt2_layout import our_config, require_gpt2, their_config, to_our_layout, to_their_layout
from minigpt.model import GPT, blueprint

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MASKS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")  # constants that older files carry along


def from_pretrained(folder: Path | str) -> GPT:
    """Read a GPT-2 from a folder in Hugging Face's layout, in float32 and ready to generate.

    The tokenizer is another matter: use the one that the model was trained with. Dropout becomes their
    `resid_pdrop`; their `attn_pdrop` has no counterpart here.

    Raises:
        UserError: a file is missing or damaged, it is another kind of model, or the tensors are not those of the model.
    """
    folder = Path(folder)
    config = our_config(folder / CONFIG)
    model = blueprint(config)  # no memory yet: the numbers come from the file
    with named(folder / WEIGHTS):
        weights = to_our_layout(read_tensors(folder / WEIGHTS), model)
    model.load_state_dict(weights, assign=True, strict=False)  # a tied head is not among them
    if config.tie_weights:
        model.head.weight = model.token.weight
    return model.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by their names, without the prefix and the masks that some files have.

    Raises:
        UserError: the file is missing or damaged.
    """
    whole_elsewhere = "load the folder with transformers and write it with save_pretrained(…, max_shard_size='100GB')"
    remedy = whole_elsewhere if any(path.parent.glob("*model*")) else "copy the folder again"
    require(path.is_file(), f"the file does not exist; {remedy}.")
    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name.removeprefix("transformer."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"the file is truncated or damaged ({error}); copy it again.") from None
    return {name: tensor for name, tensor in tensors.items() if not MASKS.fullmatch(name)}


def export(model: GPT, folder: Path | str, end_of_text: int | None = None) -> None:
    """Write a GPT into a new folder that `transformers` reads as `GPT2LMHeadModel`, with equal logits.

    A model without biases gets biases of zero. `end_of_text` is the id at which their generation stops.

    Raises:
        UserError: the model is none that GPT-2's layout can hold, or the folder exists or cannot be written.
    """
    folder = Path(folder)
    require_gpt2(model)
    require(
        not folder.exists() or (folder.is_dir() and not any(folder.iterdir())),
        f"{folder} exists already; choose another name.",
    )
    with replacing(folder) as new:
        (new / CONFIG).write_text(
            json.dumps(their_config(model.config, end_of_text), indent=2) + "\n", encoding="utf-8"
        )
        try:
            save_file(to_their_layout(model), str(new / WEIGHTS), metadata={"format": "pt"})
        except SafetensorError as error:  # such as a full disk
            raise OSError(errno.EIO, str(error)) from None
        shutil.copymode(new / CONFIG, new / WEIGHTS)  # which safetensors keeps private
