from minigpt.checkpoint.run_log import RunLog, StepMetrics, read_run
from minigpt.config import GPTConfig, TrainConfig, model_preset, preset_names, training_preset
from minigpt.data.batches import Split, get_batch, split_text
from minigpt.data.corpora import Corpus, load_corpus, read_text
from minigpt.data.documents import split_documents
from minigpt.data.foundation import Foundation, load_foundation
from minigpt.data.prepare import prepare_shards
from minigpt.data.shards import open_shards
from minigpt.evaluation.evaluate import EvalResult, cross_entropy, evaluate
from minigpt.evaluation.ngram import NGram
from minigpt.evaluation.verify import verify_model, verify_sampler, verify_tokenizer
from minigpt.generation.generate import generate, generate_batch, generate_stream
from minigpt.generation.sampling import Sampler
from minigpt.model.attention import CausalSelfAttention, naive_attention, sdpa_attention
from minigpt.model.flash_attention import tiled_attention
from minigpt.model.gpt import GPT, Block, count_parameters
from minigpt.model.hooks import capture_activations, parameter_table
from minigpt.model.layers import MLP, LayerNorm, RMSNorm, SquaredReLUMLP, SwiGLU
from minigpt.model.position import (
    ALiBi,
    LearnedPositionEmbedding,
    PositionEmbedding,
    RotaryEmbedding,
    SinusoidalPositionEmbedding,
)
from minigpt.model.quantization import quantize_dynamic_int8, to_decode_layout
from minigpt.tokenizer.base import Tokenizer, load_tokenizer
from minigpt.tokenizer.bpe import BPETokenizer
from minigpt.tokenizer.char import CharTokenizer
from minigpt.training.muon import Muon
from minigpt.training.trainer import Trainer
from minigpt.utils.errors import UserError
from minigpt.utils.machine import asset_path, by_tier, default_device, tier

__version__: str

__all__ = [
    "GPT",
    "MLP",
    "ALiBi",
    "BPETokenizer",
    "Block",
    "CausalSelfAttention",
    "CharTokenizer",
    "Corpus",
    "EvalResult",
    "Foundation",
    "GPTConfig",
    "LayerNorm",
    "LearnedPositionEmbedding",
    "Muon",
    "NGram",
    "PositionEmbedding",
    "RMSNorm",
    "RotaryEmbedding",
    "RunLog",
    "Sampler",
    "SinusoidalPositionEmbedding",
    "Split",
    "SquaredReLUMLP",
    "StepMetrics",
    "SwiGLU",
    "Tokenizer",
    "TrainConfig",
    "Trainer",
    "UserError",
    "asset_path",
    "by_tier",
    "capture_activations",
    "count_parameters",
    "cross_entropy",
    "default_device",
    "evaluate",
    "generate",
    "generate_batch",
    "generate_stream",
    "get_batch",
    "load_corpus",
    "load_foundation",
    "load_tokenizer",
    "model_preset",
    "naive_attention",
    "open_shards",
    "parameter_table",
    "prepare_shards",
    "preset_names",
    "quantize_dynamic_int8",
    "read_run",
    "read_text",
    "sdpa_attention",
    "split_documents",
    "split_text",
    "tier",
    "tiled_attention",
    "to_decode_layout",
    "training_preset",
    "verify_model",
    "verify_sampler",
    "verify_tokenizer",
]
