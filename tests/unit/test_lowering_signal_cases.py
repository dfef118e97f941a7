"""The node cases of onnx for images and signals: same numbers, and no fallback but where said."""

import pytest
from node_cases import TestCase, cases, run

_MODULES = {
    "affinegrid": ("AffineGrid",),
    "averagepool": ("AveragePool",),
    "blackmanwindow": ("BlackmanWindow",),
    "center_crop_pad": ("CenterCropPad",),
    "col2im": ("Col2Im",),
    "conv": ("Conv",),
    "convtranspose": ("ConvTranspose",),
    "deformconv": ("DeformConv",),
    "depthtospace": ("DepthToSpace",),
    "dft": ("DFT",),
    "globalaveragepool": ("GlobalAveragePool",),
    "globalmaxpool": ("GlobalMaxPool",),
    "gridsample": ("GridSample",),
    "hammingwindow": ("HammingWindow",),
    "hannwindow": ("HannWindow",),
    "lppool": ("LpPool",),
    "maxpool": ("MaxPool",),
    "maxunpool": ("MaxUnpool",),
    "melweightmatrix": ("MelWeightMatrix",),
    "pad": ("Pad",),
    "resize": ("Resize",),
    "roialign": ("RoiAlign",),
    "spacetodepth": ("SpaceToDepth",),
    "stft": ("STFT",),
    "upsample": ("Upsample",),
}
"""Modules of onnx's cases and the operators whose cases they have."""

_PARAMETERS = (
    "axes", "axis", "block_shape", "dft_length", "frame_length", "frame_step", "image_shape",
    "lower_edge_hertz", "num_mel_bins", "output_shape", "pads", "roi", "sample_rate", "scales",
    "shape", "size", "sizes", "upper_edge_hertz",
)  # fmt: skip
"""Inputs that models have as constants."""

_OTHER_NUMBERS = (
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
)
"""Cases that align to the corner of scale * size elements; the text and ONNX Runtime, to the last
of the output."""


def collected() -> list[object]:
    """Every case of an installed module."""
    return [
        pytest.param(case, id=case.name)
        for module, op_types in _MODULES.items()
        for case in cases(module, *op_types)
        if case.name not in _OTHER_NUMBERS
    ]


@pytest.mark.parametrize("case", collected())
def test_case(case: TestCase) -> None:
    is_window = case.model.graph.node[0].op_type.endswith("Window")  # of which the size is all
    graph = run(case, None if is_window else _PARAMETERS)
    assert graph.node_counts()["fallback"] == 0
