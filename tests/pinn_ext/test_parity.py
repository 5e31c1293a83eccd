"""Every case against its oracle: result and all gradients, float64 and float32, and gradcheck."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, Case, case_name, differentiated, forward_and_gradients, leaf, leaves, relative_error
from tolerances import KERNEL_FLOAT64, kernel_float32

every_case = pytest.mark.parametrize("case", CASES, ids=case_name)


@every_case
def test_float64_parity(case: Case) -> None:
    inputs = case.inputs(33, seed=1)
    got = forward_and_gradients(case.kernel, inputs, seed=101)
    wanted = forward_and_gradients(case.oracle, inputs, seed=101)
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    assert max(errors) <= KERNEL_FLOAT64, f"result, then gradients: {errors}"


@every_case
def test_float32_parity(case: Case) -> None:
    n = 33
    inputs = case.inputs(n, seed=3, dtype=torch.float32)
    exact_inputs = leaves(inputs, torch.float64)
    got = forward_and_gradients(case.kernel, inputs, seed=103)
    wanted = forward_and_gradients(case.oracle, exact_inputs, seed=103)
    assert all(g.dtype == torch.float32 for g in got)
    bound = kernel_float32(case.summands(n), case.amplification(*exact_inputs))
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    assert max(errors) <= bound, f"result, then gradients: {errors}, bound {bound}"


@every_case
def test_gradcheck(case: Case) -> None:
    inputs = case.inputs(2, seed=5)
    small = sum(t.numel() for t in inputs) <= 300
    assert torch.autograd.gradcheck(case.kernel, inputs, fast_mode=not small)


@every_case
def test_result_is_fresh_memory_and_inputs_are_untouched(case: Case) -> None:
    inputs = case.inputs(5, seed=6)
    before = [t.detach().clone() for t in inputs]
    result, *_ = forward_and_gradients(case.kernel, inputs, seed=7)
    assert result.is_contiguous()
    for tensor, old in zip(inputs, before, strict=True):
        assert torch.equal(tensor, old)
        assert tensor.untyped_storage().data_ptr() != result.untyped_storage().data_ptr()


@every_case
def test_gradient_of_one_input_alone(case: Case) -> None:
    """Freezing the other inputs changes no bit of the gradient that is left."""
    inputs = case.inputs(9, seed=8)
    together = forward_and_gradients(case.kernel, inputs, seed=9)[1:]
    assert len(together) == len(differentiated(inputs))
    for i, wanted in enumerate(together, start=case.frozen):
        alone = [t.detach() for t in inputs]
        alone[i] = leaf(inputs[i], inputs[i].dtype)

        def only(x: torch.Tensor, at: int = i, rest: list[torch.Tensor] = alone) -> torch.Tensor:
            return case.kernel(*rest[:at], x, *rest[at + 1 :])

        _, got = forward_and_gradients(only, [alone[i]], seed=9)
        assert torch.equal(got, wanted)
