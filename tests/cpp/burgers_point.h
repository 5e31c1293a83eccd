// A second equation behind the mean square of a residual (mlp/mean_square.h), in tests alone: Burgers' equation with a
// linear reaction, whose two coefficients are learned, and a source.
//
//   residual = u_t + u u_x - nu u_xx - beta u - s
#pragma once

#include "core/per_point.h"

namespace pinn {

template <typename T>
struct Burgers {
  using Scalar = T;
  static constexpr const char* kName = "burgers_loss";
  static constexpr int kColumns = 1, kLearned = 2;
  template <typename N>
  struct Jet {
    N u, u_t, u_x, u_xx;
  };
  template <typename N>
  struct Coefficients {
    N nu, beta, source;
  };

  PerPoint<T> nu_beta, source;

  template <typename Streams>
  static constexpr bool supports = Streams::has_laplacian && Streams::num_first == 2;

  PINN_HD const PerPoint<T>& learned() const { return nu_beta; }

  template <typename N, typename Read>
  PINN_HD Coefficients<N> coefficients(const Read& read) const {
    return {read(nu_beta, 0), read(nu_beta, 1), read(source, 0)};
  }

  template <typename N, typename Streams, typename F>
  PINN_HD void for_each_entry(Jet<N>& q, const Streams&, const F& f) const {
    f(0, 0, q.u);
    f(1, 0, q.u_t);
    f(2, 0, q.u_x);
    f(3, 0, q.u_xx);
  }

  template <typename N>
  PINN_HD static void point(const Jet<N>& q, const Coefficients<N>& k, N (&residual)[1]) {
    residual[0] = q.u_t + q.u * q.u_x - k.nu * q.u_xx - k.beta * q.u - k.source;
  }

  template <typename N, int learned>
  PINN_HD static void backward_point(const Jet<N>& q, const Coefficients<N>& k, const N (&v)[1], Jet<N>& v_q,
                                     N (&v_learned)[learned]) {
    v_q = {v[0] * (q.u_x - k.beta), v[0], v[0] * q.u, -k.nu * v[0]};
    v_learned[0] = -v[0] * q.u_xx;
    v_learned[1] = -v[0] * q.u;
  }
};

}  // namespace pinn
