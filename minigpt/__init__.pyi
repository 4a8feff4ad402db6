from minigpt.attention import Attention, attend_naive, attend_sdpa
from minigpt.base_tokenizer import Tokenizer
from minigpt.batch_generation import generate_batch
from minigpt.bpe.tokenizer import BPETokenizer
from minigpt.config import GPTConfig, TrainConfig
from minigpt.corpora.foundation import Foundation, load_foundation
from minigpt.corpora.texts import Corpus, load_corpus, read_text
from minigpt.data import Split, random_batch, split_text
from minigpt.diagnosis.checkup import Checkup, check_run
from minigpt.diagnosis.contracts import verify_model, verify_sampler, verify_tokenizer
from minigpt.errors import UserError
from minigpt.evaluation import Evaluation, cross_entropy, evaluate
from minigpt.flash import attend_flash
from minigpt.generation import generate, stream
from minigpt.hooks import parameter_table, record
from minigpt.int8 import to_int8_kernels
from minigpt.layers import MLP, LayerNorm, RMSNorm, SquaredReLU, SwiGLU
from minigpt.machine import budget, pick_device, tier
from minigpt.model import GPT, Block, count_parameters
from minigpt.position import LearnedPosition, LinearBias, Position, RotaryPosition, SinusoidalPosition
from minigpt.presets import preset, preset_names, training_preset
from minigpt.sampling import Sampler
from minigpt.shards.documents import split_documents
from minigpt.shards.prepare import prepare
from minigpt.shards.reader import open_shards
from minigpt.shipped_files import shipped
from minigpt.tokenizers import CharTokenizer, load_tokenizer
from minigpt.training.muon import Muon
from minigpt.training.records import Record, Run, read_run
from minigpt.training.trainer import Trainer
from minigpt.writing_layout import to_writing_layout

__version__: str

__all__ = [
    "GPT",
    "MLP",
    "Attention",
    "BPETokenizer",
    "Block",
    "CharTokenizer",
    "Checkup",
    "Corpus",
    "Evaluation",
    "Foundation",
    "GPTConfig",
    "LayerNorm",
    "LearnedPosition",
    "LinearBias",
    "Muon",
    "Position",
    "RMSNorm",
    "Record",
    "RotaryPosition",
    "Run",
    "Sampler",
    "SinusoidalPosition",
    "Split",
    "SquaredReLU",
    "SwiGLU",
    "Tokenizer",
    "TrainConfig",
    "Trainer",
    "UserError",
    "attend_flash",
    "attend_naive",
    "attend_sdpa",
    "budget",
    "check_run",
    "count_parameters",
    "cross_entropy",
    "evaluate",
    "generate",
    "generate_batch",
    "load_corpus",
    "load_foundation",
    "load_tokenizer",
    "open_shards",
    "parameter_table",
    "pick_device",
    "prepare",
    "preset",
    "preset_names",
    "random_batch",
    "read_run",
    "read_text",
    "record",
    "shipped",
    "split_documents",
    "split_text",
    "stream",
    "tier",
    "to_int8_kernels",
    "to_writing_layout",
    "training_preset",
    "verify_model",
    "verify_sampler",
    "verify_tokenizer",
]
