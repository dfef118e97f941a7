"""Operators of ONNX Runtime that t10c knows but cannot plan, each with its reason."""

from t10c.ir.graph import NodeClass
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import ExpansionFunction, expands

_REASONS: dict[str, tuple[str, ...]] = {
    "a search that runs a whole model step by step; compile its decoder by itself": (
        "BeamSearch",
        "GreedySearch",
        "Sampling",
        "WhisperBeamSearch",
    ),
    "the places it changes depend on which tokens repeat": ("NGramRepeatBlock",),
    "what it computes depends on boxes in the data": ("CropAndResize",),
    "a path through a matrix is found step by step": ("DynamicTimeWarping",),
    "sparse tensors are not supported": ("SparseToDenseMatMul",),
    "how many tokens are left depends on data": ("RemovePadding", "RestorePadding"),
    "keys are chosen block by block by data": ("SparseAttention",),
    "attention of a window and some global tokens that data choose": ("LongformerAttention",),
    "pages of a cache are chosen by data": ("PagedAttention",),
    "which of its inputs it uses depends on data": ("DecoderAttention",),
    "its cache has an order of elements that only one processor knows": (
        "DecoderMaskedSelfAttention",
    ),
    "it works on text": ("Tokenizer",),
    "hashes are not supported": ("MurmurHash3",),
    "its attention within each step of an LSTM is not supported": ("AttnLSTM",),
    "its words of unequal lengths depend on data": ("WordConvEmbedding",),
    "it holds a model compiled for one processor; export the model before that": (
        "EPContext",
        "Snpe",
    ),
}

_NHWC = "com.ms.internal.nhwc"
_BLOCKED = "com.microsoft.nchwc"

_LAYOUTS: dict[str, tuple[str, ...]] = {
    _NHWC: (
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalLpPool",
        "GlobalMaxPool",
        "GridSample",
        "InstanceNormalization",
        "LRN",
        "LpPool",
        "MaxPool",
        "MaxUnpool",
        "QLinearAveragePool",
        "QLinearConv",
        "QLinearConvTranspose",
        "Resize",
        "SpaceToDepth",
    ),
    _BLOCKED: (
        "AveragePool",
        "Conv",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "MaxPool",
        "ReorderInput",
        "ReorderOutput",
        "Upsample",
    ),
}
"""Domains of operators that ONNX Runtime makes while it optimises a model for one processor."""


def _refusing(reason: str) -> ExpansionFunction:
    """An expansion that refuses its node for one reason, which is also its note."""

    def refuse(call: Expansion) -> None:
        call.refuse(reason)

    refuse.__doc__ = f"{reason[0].upper()}{reason[1:]}."
    return refuse


for _reason, _op_types in _REASONS.items():
    expands(*_op_types, domain=MICROSOFT, node_class=NodeClass.UNSUPPORTED)(_refusing(_reason))
for _domain, _op_types in _LAYOUTS.items():
    _reason = "a layout made for one processor; export the model before ONNX Runtime optimises it"
    expands(*_op_types, domain=_domain, node_class=NodeClass.UNSUPPORTED)(_refusing(_reason))
