"""The families a recipe may name: hyper-parameter class, builder, workload arguments it takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from t10c.errors import UsageError
from t10c.suggest import did_you_mean
from t10c.zoo.encoder import BertParameters, build_bert
from t10c.zoo.gemma import GemmaParameters, build_gemma
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.llama import LlamaParameters, build_llama
from t10c.zoo.lstm import LstmParameters, build_lstm
from t10c.zoo.mamba import MambaParameters, build_mamba
from t10c.zoo.mixtral import MixtralParameters, build_mixtral
from t10c.zoo.mlp import NerfParameters, build_nerf
from t10c.zoo.mobilenet import MobilenetParameters, build_mobilenet
from t10c.zoo.opt import OptParameters, build_opt
from t10c.zoo.request import Workload
from t10c.zoo.resnet import ResnetParameters, build_resnet
from t10c.zoo.retnet import RetnetParameters, build_retnet
from t10c.zoo.unet import UnetBlockParameters, build_unet_block
from t10c.zoo.vit import VitParameters, build_vit
from t10c.zoo.whisper import (
    WhisperDecoderParameters,
    WhisperEncoderParameters,
    build_whisper_decoder,
    build_whisper_encoder,
)

Cache = Literal["positions", "state"]


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one kind are built.

    `parameters` is a dataclass of int and float fields; `build` takes an instance of it. What a
    decoder remembers is a `cache` of all past positions, or a state whose size they do not change.
    """

    parameters: type[Any]
    build: Callable[[GraphBuilder, Any, Workload], None]
    has_sequence: bool = False
    cache: Cache | None = None

    def resolve(
        self, model: str, stated: Mapping[str, int | float], overrides: Mapping[str, str]
    ) -> object:
        """The recipe's parameters with overrides applied.

        Raises UsageError for an unknown name, a value that is no positive number, or values that
        contradict each other.
        """
        types = {field.name: field.type for field in fields(self.parameters)}
        values: dict[str, int | float] = dict(stated)
        for name, text in overrides.items():
            if name not in types:
                raise UsageError(
                    f"{model}: unknown parameter '{name}'{did_you_mean(name, types)}\n"
                    f"  it has: {', '.join(types)}"
                )
            values[name] = _positive(model, name, text, int if types[name] is int else float)
        try:
            return self.parameters(**values)
        except ValueError as error:
            raise UsageError(f"{model}: {error}") from error


def _positive(model: str, name: str, text: str, kind: type[int] | type[float]) -> int | float:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        what = "a positive integer" if kind is int else "a positive number"
        raise UsageError(f"{model}: {name} must be {what}, not '{text}'")
    return value


FAMILIES: Mapping[str, Family] = {
    "bert": Family(BertParameters, build_bert, has_sequence=True),
    "vit": Family(VitParameters, build_vit),
    "resnet": Family(ResnetParameters, build_resnet),
    "mobilenet": Family(MobilenetParameters, build_mobilenet),
    "unet-block": Family(UnetBlockParameters, build_unet_block),
    "whisper-encoder": Family(WhisperEncoderParameters, build_whisper_encoder),
    "whisper-decoder": Family(
        WhisperDecoderParameters, build_whisper_decoder, has_sequence=True, cache="positions"
    ),
    "nerf": Family(NerfParameters, build_nerf, has_sequence=True),
    "opt": Family(OptParameters, build_opt, has_sequence=True, cache="positions"),
    "llama": Family(LlamaParameters, build_llama, has_sequence=True, cache="positions"),
    "mixtral": Family(MixtralParameters, build_mixtral, has_sequence=True, cache="positions"),
    "retnet": Family(RetnetParameters, build_retnet, has_sequence=True, cache="state"),
    "mamba": Family(MambaParameters, build_mamba, has_sequence=True, cache="state"),
    "lstm": Family(LstmParameters, build_lstm, has_sequence=True, cache="state"),
    "gemma": Family(GemmaParameters, build_gemma, has_sequence=True, cache="positions"),
}
