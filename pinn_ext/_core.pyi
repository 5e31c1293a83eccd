"""The compiled module: tensors arrive as addresses, or as an ``Array`` whose length is checked."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Array: TypeAlias = tuple[int, int] | None  # address, count of numbers

MAX_COORDINATES: int
MAX_LINEAR_LAYERS: int
MAX_FUSED_WIDTH: int
MAX_FUSED_OUTPUTS: int
MAX_FUSED_STREAMS: int
SKETCH_CHUNK: int

class JetStreams:
    def __init__(self, first: Sequence[int], weights: Sequence[float], has_laplacian: bool) -> None: ...

class Activation:
    __members__: dict[str, Activation]

class SketchKind:
    __members__: dict[str, SketchKind]
    gaussian: SketchKind
    sparse_sign: SketchKind

class PivotStatus:
    ok: PivotStatus
    not_finite: PivotStatus
    too_small: PivotStatus
    exhausted: PivotStatus
    def __int__(self) -> int: ...

class PivotSize:
    def __init__(
        self,
        *,
        r: int,
        n: int,
        c: int,
        k: int,
        num_forced: int,
        num_regions: int,
        d: int,
        min_distance: float,
        tolerance: float,
    ) -> None: ...

class MlpShape:
    def __init__(
        self, n: int, d: int, m: int, widths: Sequence[int], streams: JetStreams, activation: Activation
    ) -> None: ...

class Network:
    def __init__(self, x: Array, B: Array, parameters: Sequence[Array], shape: MlpShape) -> None: ...

def build_info() -> dict[str, Any]: ...
def num_chunks(n: int, /) -> int: ...
def fourier_features(
    float64: bool, stream: int | None, x: int, B: int, out: int, n: int, d: int, m: int, /
) -> None: ...
def fourier_features_backward(
    float64: bool, stream: int | None, v_out: int, x: int, B: int, v_x: int, partials: int, n: int, d: int, m: int, /
) -> None: ...
def fourier_features_second_order(
    float64: bool,
    stream: int | None,
    g_x: int,
    g_B: int,
    v_out: int,
    x: int,
    B: int,
    gg_v_out: int,
    gg_x: int,
    partials: int,
    n: int,
    d: int,
    m: int,
    /,
) -> None: ...
def fourier_jet(
    float64: bool, stream: int | None, x: int, B: int, out: int, n: int, d: int, m: int, streams: JetStreams, /
) -> None: ...
def fourier_jet_backward(
    float64: bool,
    stream: int | None,
    v_out: int,
    x: int,
    B: int,
    v_x: int,
    partials: int,
    n: int,
    d: int,
    m: int,
    streams: JetStreams,
    /,
) -> None: ...
def activation_jet(
    float64: bool, stream: int | None, z: int, out: int, count: int, streams: JetStreams, activation: Activation, /
) -> None: ...
def activation_jet_backward(
    float64: bool,
    stream: int | None,
    v_out: int,
    z: int,
    v_z: int,
    count: int,
    streams: JetStreams,
    activation: Activation,
    /,
) -> None: ...
def navier_stokes_residual(
    float64: bool,
    stream: int | None,
    *,
    jet: Array,
    nu: Array,
    forcing: Array,
    out: Array,
    n: int,
    outputs: int,
    time_stream: bool,
    steady: bool,
) -> None: ...
def navier_stokes_residual_backward(
    float64: bool,
    stream: int | None,
    *,
    v_out: Array,
    jet: Array,
    nu: Array,
    v_jet: Array,
    v_nu: Array,
    n: int,
    outputs: int,
    time_stream: bool,
    steady: bool,
) -> None: ...
def mlp_jet(float64: bool, stream: int | None, network: Network, *, out: Array, workspace: Array) -> None: ...
def mlp_jet_backward(
    float64: bool,
    stream: int | None,
    network: Network,
    *,
    v_out: Array,
    gradient: Array,
    workspace: Array,
    want_B: bool,
    parts: int,
) -> None: ...
def navier_stokes_loss(
    float64: bool,
    stream: int | None,
    network: Network,
    *,
    nu: Array,
    forcing: Array,
    steady: bool,
    term_weights: Array,
    point_weights: Array,
    count: float,
    total: Array,
    terms: Array,
    residual: Array,
    gradient: Array,
    workspace: Array,
    want_B: bool,
    want_nu: bool,
    parts: int,
) -> None: ...
def pivoted_qr(
    float64: bool,
    stream: int | None,
    size: PivotSize,
    arrays: Mapping[str, tuple[int, int]],
    workspace: int,
    /,
) -> None: ...
def cuda_pivot_workspace_bytes(size: PivotSize, float64: bool) -> int: ...
def cuda_fused_supports(shape: MlpShape, float64: bool) -> bool: ...
def cuda_workspace_bytes(shape: MlpShape, gradient: bool, want_B: bool) -> int: ...
def sketch_rows(
    float64: bool,
    stream: int | None,
    a: int,
    out: int,
    workspace: int,
    kind: SketchKind,
    seed: int,
    num_rows: int,
    r: int,
    n: int,
    stride: int,
    row_offset: int,
    accumulate: bool,
    /,
) -> None: ...
def row_gram(
    float64: bool,
    a: int,
    gram: int,
    mean: int,
    along_mean: int,
    mean_square: int,
    r: int,
    n: int,
    stride: int,
    in_double: bool,
    /,
) -> None: ...
def project_rows(
    float64: bool, a: int, rotation: int, mean: int, out: int, num_out: int, r: int, n: int, stride: int, /
) -> None: ...
