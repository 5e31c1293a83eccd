"""The arrays of SOAP (soap.py): the states of many parameters, stacked, and one update of them all, without autograd.

Layout: a flat array [n] has one number for each number of the parameters: the matrices first, shape by shape, so that
a shape is [p, rows, columns]; then vectors and single numbers. The sides of length m, L and U of m rows and R and V of
m columns, are [k, m, m]. Eigenvectors are the rows of U and V. The state of one parameter is a view of its share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

__all__ = ["Replay", "SoapStack", "first_state", "state_shapes"]

State = dict[str, Tensor]
Replay = Callable[[Callable[[], None]], Callable[[], None]]

# "rotated" is U M V^T, kept beside M: as long as U and V stay, it follows M by a lerp in place of two products.
# The second moments are those of the rotated gradient.
MOMENTS = ("exp_avg", "exp_avg_rotated", "exp_avg_sq")
# What else is as long: the gradient, which makes room for the step; and where the gradient is rotated, in two products.
ROOM = ("gradient", "rotated", "scratch")
SIDES = ("row_statistics", "column_statistics", "row_basis", "column_basis")  # L, R, U, V


def state_shapes(p: Tensor) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state of one parameter; what is no matrix has moments alone."""
    shape = tuple(p.shape)
    sides = ((shape[0],) * 2, (shape[1],) * 2) * 2 if len(shape) == 2 else ()
    return dict.fromkeys(MOMENTS, shape) | dict(zip(SIDES, sides, strict=False))


def first_state(gradient: Tensor, beta2: float) -> State:
    """The state of one parameter after its first gradient: moments of zero; L, R and their eigenvectors.

    Args:
        gradient: [rows, columns], [n] or [].
        beta2: decay of L and R.
    """
    state = {name: gradient.new_zeros(shape) for name, shape in state_shapes(gradient).items()}
    if gradient.dim() == 2:
        for side, g in (("row", gradient), ("column", gradient.mT)):
            torch.mm(g, g.mT, out=state[f"{side}_statistics"]).mul_(1.0 - beta2)
            state[f"{side}_basis"].copy_(_eigenvectors(g).mT)
    return state


def _eigenvectors(gradient: Tensor) -> Tensor:
    """Those of G G^T [m, m], in columns, the largest eigenvalue first; in float64.

    Most eigenvalues of one gradient are zero but for rounding, which would choose their vectors: another order of a sum
    is another training. The reflectors that lead to the others lead to these too, and change as little as those do.
    """
    vectors, lengths, _ = torch.linalg.svd(gradient.double(), full_matrices=False)
    # Eigenvalues are squares of lengths.
    large = int((lengths > lengths[:1] * torch.finfo(gradient.dtype).eps ** 0.5).sum())
    basis = torch.linalg.qr(vectors[:, :large], mode="complete").Q
    basis[:, :large] = vectors[:, :large]
    return basis


class SoapStack:
    """Parameters of one device and dtype with their states.

    Args:
        params: those that have a gradient, of at most two dimensions.
        states: parameter -> its state, which is copied into this stack and becomes a view of it.
        replay: as for `Soap`.
    """

    def __init__(
        self, params: Sequence[nn.Parameter], states: Mapping[Tensor, State], replay: Replay | None = None
    ) -> None:
        self.params = sorted(params, key=lambda p: (p.dim() != 2, tuple(p.shape)))
        matrices = [p for p in self.params if p.dim() == 2]
        sizes = [p.numel() for p in self.params]
        like = self.params[0].detach()
        self._flat = {name: like.new_zeros(sum(sizes)) for name in (*MOMENTS, *ROOM)}
        self._rest = slice(sum(p.numel() for p in matrices), None)
        # Where a graph may read it; on CUDA always, so that an eager step rounds as a replayed one. On the CPU the step
        # is added with its size in one rounding.
        self._step_size = like.new_zeros(()) if replay is not None or like.is_cuda else None
        self._replay = replay or (lambda change: change)
        self._replayed: dict[tuple[float, ...], Callable[[], None]] = {}  # by the numbers that it keeps
        shares = {
            name: [share.view(p.shape) for share, p in zip(array.split(sizes), self.params, strict=True)]
            for name, array in self._flat.items()
        }
        self._gradients = shares["gradient"]
        for number, p in enumerate(self.params):
            _move(states[p], {name: shares[name][number] for name in MOMENTS})

        num_sides = Counter(m for p in matrices for m in p.shape)
        self._sides = {m: _Sides(like.new_empty(k, m, m), like.new_empty(k, m, m)) for m, k in num_sides.items()}
        self._matrices: list[_Matrices] = []
        start = 0
        for shape, group in groupby(matrices, key=lambda p: tuple(p.shape)):
            members = list(group)
            stop = start + sum(p.numel() for p in members)
            flat = {name: array[start:stop].view(-1, *shape) for name, array in self._flat.items()}
            rows, columns = (self._sides[m].share(len(members)) for m in shape)
            for number, p in enumerate(members):
                sides = rows.statistics, columns.statistics, rows.basis, columns.basis
                _move(states[p], {name: array[number] for name, array in zip(SIDES, sides, strict=True)})
            self._matrices.append(_Matrices(flat, rows, columns))
            start = stop

    def update(self, step_size: float, beta1: float, beta2: float, eps: float) -> None:
        """One step with the parameters' gradients: moments, parameters, L and R.

        Args:
            step_size: lr with the correction of both moments' bias.
            beta1: decay of the first moments.
            beta2: decay of the second moments, of L and of R.
            eps: added to the root of the second moments.
        """
        torch._foreach_copy_(self._gradients, [p.grad for p in self.params])
        if self._step_size is None:
            self._make_step(beta1, beta2, eps)
            torch._foreach_add_(self.params, self._gradients, alpha=-step_size)
            return
        self._step_size.fill_(-step_size)
        numbers = (beta1, beta2, eps)
        if numbers not in self._replayed:
            self._replayed[numbers] = self._replay(partial(self._change, *numbers))
        self._replayed[numbers]()

    def _change(self, beta1: float, beta2: float, eps: float) -> None:
        """As `update`, with the gradients and the step size that stand in this stack."""
        self._make_step(beta1, beta2, eps)
        self._flat["gradient"].mul_(self._step_size)
        torch._foreach_add_(self.params, self._gradients)

    def _make_step(self, beta1: float, beta2: float, eps: float) -> None:
        """Moments, L and R take the gradient in, and the step, of size one, its place."""
        gradient, rotated = self._flat["gradient"], self._flat["rotated"]
        rotated[self._rest].copy_(gradient[self._rest])
        for matrices in self._matrices:
            matrices.gather_statistics(beta2)
            matrices.rotate("gradient", out="rotated")
        self._flat["exp_avg"].lerp_(gradient, 1.0 - beta1)
        self._flat["exp_avg_rotated"].lerp_(rotated, 1.0 - beta1)
        self._flat["exp_avg_sq"].lerp_(torch.mul(rotated, rotated, out=rotated), 1.0 - beta2)
        # From here on these are the step: rotated, and then in the coordinates of the parameters.
        torch.sqrt(self._flat["exp_avg_sq"], out=rotated).add_(eps)
        torch.div(self._flat["exp_avg_rotated"], rotated, out=rotated)
        gradient[self._rest].copy_(rotated[self._rest])
        for matrices in self._matrices:
            matrices.rotate_back("rotated", out="gradient")

    def turn_bases(self) -> None:
        """Turns U and V towards the eigenvectors of L and R, and the first moments with them."""
        for length, sides in self._sides.items():
            if length > 1:  # else the one vector is 1 or -1
                sides.turn()
        for matrices in self._matrices:
            matrices.rotate("exp_avg", out="exp_avg_rotated")


class _Sides:
    """Sides of one length m: L or R, and U or V.

    Args:
        statistics: [k, m, m].
        basis: [k, m, m], a vector in each row.
    """

    def __init__(self, statistics: Tensor, basis: Tensor) -> None:
        self.statistics, self.basis = statistics, basis
        self._shared = 0

    def share(self, num: int) -> _Sides:
        """Views of the next ``num`` of them that have not been given away."""
        first, self._shared = self._shared, self._shared + num
        return _Sides(self.statistics[first : self._shared], self.basis[first : self._shared])

    def gather(self, matrix: Tensor, beta2: float) -> None:
        """The statistics take X X^T in, X [k, m, any]."""
        self.statistics.baddbmm_(matrix, matrix.mT, beta=beta2, alpha=1.0 - beta2)

    def turn(self) -> None:
        """One step of power iteration and QR.

        QR takes the vectors by their Rayleigh quotients, the largest first; each then goes back to where it was, so
        that the second moments need not move. In float32, as in the paper's code: they are a guess until the next turn.
        """
        k, m, _ = self.basis.shape
        iterated = torch.bmm(self.basis, self.statistics)
        order = torch.linalg.vecdot(self.basis, iterated).argsort(dim=-1, descending=True)
        order = order.add_(torch.arange(0, k * m, m, device=order.device)[:, None]).view(-1)
        iterated = iterated.view(-1, m).index_select(0, order).view(k, m, m)
        vectors = torch.linalg.qr(iterated.mT.float()).Q.mT.to(self.basis.dtype)
        self.basis.view(-1, m).index_copy_(0, order, vectors.reshape(-1, m))


class _Matrices:
    """The p matrices of one shape.

    Args:
        flat: name -> [p, rows, columns], their share of the stack's arrays.
        rows: L and U, [p, rows, rows].
        columns: R and V, [p, columns, columns].
    """

    def __init__(self, flat: Mapping[str, Tensor], rows: _Sides, columns: _Sides) -> None:
        self._flat, self._rows, self._columns = flat, rows, columns

    def gather_statistics(self, beta2: float) -> None:
        """L and R take the gradients in."""
        gradient = self._flat["gradient"]
        self._rows.gather(gradient, beta2)
        self._columns.gather(gradient.mT, beta2)

    def rotate(self, name: str, out: str) -> None:
        """U X V^T."""
        torch.bmm(self._rows.basis, self._flat[name], out=self._flat["scratch"])
        torch.bmm(self._flat["scratch"], self._columns.basis.mT, out=self._flat[out])

    def rotate_back(self, name: str, out: str) -> None:
        """U^T X V."""
        torch.bmm(self._rows.basis.mT, self._flat[name], out=self._flat["scratch"])
        torch.bmm(self._flat["scratch"], self._columns.basis, out=self._flat[out])


def _move(state: State, views: Mapping[str, Tensor]) -> None:
    """Copies a state into views, and makes it those views."""
    for name, view in views.items():
        state[name] = view.copy_(state[name])
