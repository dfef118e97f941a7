"""com.microsoft: rotary positions, by themselves and within attention."""

from functools import partial

from t10c.onnx_import.contrib.pieces import part, positions, reshape, split, unsqueeze
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("RotaryEmbedding", domain=MICROSOFT)
def expand_rotary(call: Expansion) -> None:
    """Pairs of features turned by angles of their position: sums of products with cos and sin."""
    if call.attribute("is_packed_batching", 0):
        call.refuse("packed sequences of unequal lengths (is_packed_batching) are not supported")
    shape, half = call.shape(0), call.shape(2)[1]
    source, heads = call.input(0), call.attribute("num_heads", 0)
    if len(shape) == 4:
        batch, heads, length, size = shape
        grid, seen_at = shape, 1
    else:
        batch, length, hidden = shape
        size = hidden // heads if heads else 2 * half
        heads = hidden // size
        grid, seen_at = (batch, length, heads, size), 2
        source = reshape(call, source, *grid)
    cos, sin = _angles(call, length, seen_at)
    turned = rotate(call, source, grid, cos, sin, half, bool(call.attribute("interleaved", 0)))
    call.result(0, turned if len(shape) == 4 else reshape(call, turned, *shape))


def rotate(
    call: Expansion,
    source: str,
    shape: tuple[int, ...],
    cos: str,
    sin: str,
    half: int,
    interleaved: bool,
) -> str:
    """The 4-D tensor with its first 2 * `half` features turned; the others pass.

    cos and sin have `half` features and broadcast to the rest of the shape. A pair is (i, i + half)
    or, if interleaved, (2i, 2i + 1).
    """
    size = shape[-1]
    turned, *passed = split(call, source, -1, [2 * half, size - 2 * half][: 1 + (size > 2 * half)])
    if interleaved:
        pairs = reshape(call, turned, *shape[:-1], half, 2)
        cos, sin = (unsqueeze(call, angle, -1) for angle in (cos, sin))
        left, right = part(call, pairs, 4, 0, 1), part(call, pairs, 4, 1, 2)
    else:
        left, right = split(call, turned, -1, [half, half])
    first = call.add("Sub", [call.add("Mul", [left, cos]), call.add("Mul", [right, sin])])
    second = call.add("Add", [call.add("Mul", [right, cos]), call.add("Mul", [left, sin])])
    turned = call.add("Concat", [first, second], axis=-1)
    if interleaved:
        turned = reshape(call, turned, *shape[:-1], 2 * half)
    return call.add("Concat", [turned, *passed], axis=-1) if passed else turned


def _angles(call: Expansion, length: int, heads_at: int) -> list[str]:
    """cos and sin of every position, with a dimension of size 1 for the heads."""
    return [
        call.shared(
            ("angles", call.input(index), call.input(1), length, heads_at),
            partial(_rows, call, call.input(index), length, heads_at),
        )
        for index in (2, 3)
    ]


def _rows(call: Expansion, cache: str, length: int, heads_at: int) -> str:
    """The rows of a table of angles for every position; layers share them."""
    place = call.input(1)
    if len(call.shape(1)) < 2:  # the position of the first element
        ahead = call.add("Cast", [place], to=7)
        place = unsqueeze(call, call.add("Add", [ahead, positions(call, length)]), 0)
    return unsqueeze(call, call.add("Gather", [cache, place], axis=0), heads_at)
