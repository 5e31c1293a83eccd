// One number through an activation: f, f', f'' and f''', and the jet rules, for host and device.
//
// N is float or double on the device and a Vec on the host.
//
// How to add one stands in docs/architecture.md.
#pragma once

#include "core/math.h"
#include "jets/activation.h"

namespace pinn {

template <typename N>
struct Derivatives {
  N f, f1, f2, f3;
};

// tanh from e = expm1(2|z|): f = e / (e + 2), and f' = 4 (e + 1) / (e + 2)^2 keeps its relative accuracy where
// 1 - f^2 has none left.
template <typename N, typename T>
PINN_HD Derivatives<N> tanh_derivatives(N z) {
  const T saturated = sizeof(T) == 4 ? T(10) : T(20);  // f is 1 to the last bit from here on
  N e = expm1_of(N(T(2)) * min_of(fabs_of(z), N(saturated)));
  N inverse = N(T(1)) / (e + N(T(2)));
  Derivatives<N> d;
  d.f = copysign_of(e * inverse, z);
  d.f1 = N(T(4)) * (e + N(T(1))) * inverse * inverse;
  d.f2 = N(T(-2)) * d.f * d.f1;
  d.f3 = N(T(-2)) * (d.f1 * d.f1 + d.f * d.f2);
  return d;
}

template <typename N, typename T>
PINN_HD Derivatives<N> sine_derivatives(N z) {
  CosSin<N> w = cossin_of(z);
  return {w.sin, w.cos, -w.sin, -w.cos};
}

// z s(z) with the logistic function s.
template <typename N, typename T>
PINN_HD Derivatives<N> silu_derivatives(N z) {
  const N one(T(1)), two(T(2));
  N s = one / (one + exp_of(-z));
  N s1 = s * (one - s), odd = one - two * s;
  N s2 = s1 * odd, s3 = s2 * odd - two * s1 * s1;
  return {z * s, s + z * s1, two * s1 + z * s2, N(T(3)) * s2 + z * s3};
}

// z P(z) with the normal distribution P and its density p; p' = -z p.
template <typename N, typename T>
PINN_HD Derivatives<N> gelu_derivatives(N z) {
  N distribution = N(T(0.5)) * (N(T(1)) + erf_of(z * N(T(0.70710678118654752440))));
  N density = N(T(0.39894228040143267794)) * exp_of(N(T(-0.5)) * z * z);
  N zz = z * z;
  return {z * distribution, distribution + z * density, density * (N(T(2)) - zz), density * z * (zz - N(T(4)))};
}

template <Activation activation, typename N, typename T>
PINN_HD Derivatives<N> derivatives_of(N z) {
  if constexpr (activation == Activation::tanh)
    return tanh_derivatives<N, T>(z);
  else if constexpr (activation == Activation::sine)
    return sine_derivatives<N, T>(z);
  else if constexpr (activation == Activation::silu)
    return silu_derivatives<N, T>(z);
  else {
    static_assert(activation == Activation::gelu, "an activation without derivatives");
    return gelu_derivatives<N, T>(z);
  }
}

// What a pass forward keeps of a number, beside f, so that a pass back has all derivatives: f' where the others follow
// from f and f' by a few products, else z.
template <Activation activation, typename N>
PINN_HD N kept_of(N z, const Derivatives<N>& d) {
  return activation == Activation::tanh || activation == Activation::sine ? d.f1 : z;
}

// The derivatives from f and what kept_of has kept.
template <Activation activation, typename N, typename T>
PINN_HD Derivatives<N> derivatives_from(N f, N kept) {
  if constexpr (activation == Activation::tanh) {
    const N f2 = N(T(-2)) * f * kept;
    return {f, kept, f2, N(T(-2)) * (kept * kept + f * f2)};
  } else if constexpr (activation == Activation::sine) {
    return {f, kept, -f, -kept};
  } else {
    return derivatives_of<activation, N, T>(kept);
  }
}

// The whole jet of one number from the derivatives at its value: load(stream) -> N, store(stream, N).
template <typename N, typename T, typename Streams, typename Load, typename Store>
PINN_HD void activation_jet_from(const Derivatives<N>& d, const Streams& streams, const Load& load,
                                 const Store& store) {
  store(0, d.f);
  N square(T(0));  // sum_j weight_j z_j^2
  for (int j = 0; j < streams.num_first; ++j) {
    N z_j = load(1 + j);
    square = square + N(static_cast<T>(streams.weight[j])) * z_j * z_j;
    store(1 + j, d.f1 * z_j);
  }
  if (streams.has_laplacian) store(streams.laplacian(), d.f2 * square + d.f1 * load(streams.laplacian()));
}

template <Activation activation, typename N, typename T, typename Load, typename Store>
PINN_HD void activation_jet_point(const JetStreams& streams, const Load& load, const Store& store) {
  activation_jet_from<N, T>(derivatives_of<activation, N, T>(load(0)), streams, load, store);
}

// Its adjoint: v(stream) is the cotangent of the result, store(stream, N) the cotangent of z; load(0) is not called.
template <typename N, typename T, typename Streams, typename Load, typename Cotangent, typename Store>
PINN_HD void activation_jet_backward_from(const Derivatives<N>& d, const Streams& streams, const Load& load,
                                          const Cotangent& v, const Store& store) {
  N v_0 = v(0) * d.f1, v_laplacian(T(0)), square(T(0));
  if (streams.has_laplacian) {
    v_laplacian = v(streams.laplacian());
    v_0 = v_0 + v_laplacian * d.f2 * load(streams.laplacian());
    store(streams.laplacian(), v_laplacian * d.f1);
  }
  for (int j = 0; j < streams.num_first; ++j) {
    const N weight(static_cast<T>(streams.weight[j]));
    N z_j = load(1 + j), v_j = v(1 + j);
    square = square + weight * z_j * z_j;
    v_0 = v_0 + v_j * d.f2 * z_j;
    store(1 + j, v_j * d.f1 + N(T(2)) * weight * d.f2 * z_j * v_laplacian);
  }
  store(0, v_0 + v_laplacian * d.f3 * square);
}

template <Activation activation, typename N, typename T, typename Load, typename Cotangent, typename Store>
PINN_HD void activation_jet_backward_point(const JetStreams& streams, const Load& load, const Cotangent& v,
                                           const Store& store) {
  activation_jet_backward_from<N, T>(derivatives_of<activation, N, T>(load(0)), streams, load, v, store);
}

}  // namespace pinn
