"""The compiled module. A tensor arrives as an ``Array``, whose length is checked."""

from collections.abc import Sequence
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
    float64: bool, stream: int | None, *, x: Array, B: Array, out: Array, n: int, d: int, m: int
) -> None: ...
def fourier_features_backward(
    float64: bool,
    stream: int | None,
    *,
    v_out: Array,
    x: Array,
    B: Array,
    v_x: Array,
    partials: Array,
    n: int,
    d: int,
    m: int,
) -> None: ...
def fourier_features_second_order(
    float64: bool,
    stream: int | None,
    *,
    g_x: Array,
    g_B: Array,
    v_out: Array,
    x: Array,
    B: Array,
    gg_v_out: Array,
    gg_x: Array,
    partials: Array,
    n: int,
    d: int,
    m: int,
) -> None: ...
def fourier_jet(
    float64: bool, stream: int | None, *, x: Array, B: Array, out: Array, n: int, d: int, m: int, streams: JetStreams
) -> None: ...
def fourier_jet_backward(
    float64: bool,
    stream: int | None,
    *,
    v_out: Array,
    x: Array,
    B: Array,
    v_x: Array,
    partials: Array,
    n: int,
    d: int,
    m: int,
    streams: JetStreams,
) -> None: ...
def activation_jet(
    float64: bool, stream: int | None, *, z: Array, out: Array, count: int, streams: JetStreams, activation: Activation
) -> None: ...
def activation_jet_backward(
    float64: bool,
    stream: int | None,
    *,
    v_out: Array,
    z: Array,
    v_z: Array,
    count: int,
    streams: JetStreams,
    activation: Activation,
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
def breakage_residual(
    float64: bool,
    stream: int | None,
    *,
    g: Array,
    g_t: Array,
    rate: Array,
    weight: Array,
    scale: Array,
    step: Array,
    log_tail: Array,
    out: Array,
    times: int,
    nodes: int,
) -> None: ...
def breakage_residual_backward(
    float64: bool,
    stream: int | None,
    *,
    v_out: Array,
    g: Array,
    weight: Array,
    scale: Array,
    step: Array,
    log_tail: Array,
    v_g: Array,
    v_log_tail: Array,
    v_weight: Array,
    v_scale: Array,
    times: int,
    nodes: int,
) -> None: ...
def mlp_jet(float64: bool, stream: int | None, *, network: Network, out: Array, workspace: Array) -> None: ...
def mlp_jet_backward(
    float64: bool,
    stream: int | None,
    *,
    network: Network,
    v_out: Array,
    gradient: Array,
    workspace: Array,
    want_B: bool,
    parts: int,
) -> None: ...
def mlp_jacobian(
    float64: bool,
    stream: int | None,
    *,
    network: Network,
    v_out: Array,
    rows: Array,
    columns: int,
    stride: int,
) -> None: ...
def normal_matrix(
    float64: bool,
    stream: int | None,
    *,
    a: Array,
    out: Array,
    rows: int,
    p: int,
    row_stride: int,
    column_stride: int,
    in_single: bool,
    accumulate: bool,
) -> None: ...
def navier_stokes_loss(
    float64: bool,
    stream: int | None,
    *,
    network: Network,
    nu: Array,
    forcing: Array,
    base: Array,
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
    *,
    size: PivotSize,
    a: Array,
    weight: Array,
    cost: Array,
    forbidden: Array,
    forced: Array,
    position: Array,
    region: Array,
    quota: Array,
    pivot: Array,
    r_diagonal: Array,
    report: Array,
    workspace: Array,
) -> None: ...
def cuda_pivot_workspace_bytes(size: PivotSize, float64: bool) -> int: ...
def cuda_fused_supports(shape: MlpShape, float64: bool) -> bool: ...
def cuda_workspace_bytes(shape: MlpShape, gradient: bool, want_B: bool) -> int: ...
def sketch_rows(
    float64: bool,
    stream: int | None,
    *,
    a: Array,
    out: Array,
    workspace: Array,
    kind: SketchKind,
    seed: int,
    num_rows: int,
    r: int,
    n: int,
    stride: int,
    row_offset: int,
    accumulate: bool,
) -> None: ...
def row_gram(
    float64: bool,
    stream: int | None,
    *,
    a: Array,
    gram: Array,
    mean: Array,
    along_mean: Array,
    mean_square: Array,
    r: int,
    n: int,
    stride: int,
    in_double: bool,
) -> None: ...
def project_rows(
    float64: bool,
    stream: int | None,
    *,
    a: Array,
    rotation: Array,
    mean: Array,
    out: Array,
    num_out: int,
    r: int,
    n: int,
    stride: int,
) -> None: ...
