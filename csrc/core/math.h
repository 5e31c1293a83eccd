// Elementary functions under one set of names for every number type of the point formulas.
//
// Here: float and double, on the host and on the device, always the precise versions (CUDA's fast intrinsics are not
// accurate enough for second derivatives). core/simd_math.h has the same functions for Vec.
#pragma once

#include <cmath>

#include "core/host_device.h"

namespace pinn {

template <typename N>
struct CosSin {
  N cos, sin;
};

inline constexpr double kTwoPi = 6.283185307179586476925;

#ifdef __CUDACC__
PINN_HD float fabs_of(float x) { return ::fabsf(x); }
PINN_HD double fabs_of(double x) { return ::fabs(x); }
PINN_HD float copysign_of(float x, float sign) { return ::copysignf(x, sign); }
PINN_HD double copysign_of(double x, double sign) { return ::copysign(x, sign); }
// Unlike fmin, a NaN in x stays.
PINN_HD float min_of(float x, float bound) { return x > bound ? bound : x; }
PINN_HD double min_of(double x, double bound) { return x > bound ? bound : x; }
// a where x < bound, else b.
PINN_HD float select_below(float x, float bound, float a, float b) { return x < bound ? a : b; }
PINN_HD double select_below(double x, double bound, double a, double b) { return x < bound ? a : b; }
PINN_HD float exp_of(float x) { return ::expf(x); }
PINN_HD double exp_of(double x) { return ::exp(x); }
PINN_HD float expm1_of(float x) { return ::expm1f(x); }
PINN_HD double expm1_of(double x) { return ::expm1(x); }
PINN_HD float erf_of(float x) { return ::erff(x); }
PINN_HD double erf_of(double x) { return ::erf(x); }
PINN_HD CosSin<float> cossin_of(float x) {
  CosSin<float> w;
  ::sincosf(x, &w.sin, &w.cos);
  return w;
}
PINN_HD CosSin<double> cossin_of(double x) {
  CosSin<double> w;
  ::sincos(x, &w.sin, &w.cos);
  return w;
}
// cos and sin of 2 pi x. The period is taken off before the multiplication by pi, exactly.
PINN_HD CosSin<float> cossin_of_turns(float x) {
  CosSin<float> w;
  ::sincospif(2.0f * (x - ::rintf(x)), &w.sin, &w.cos);
  return w;
}
PINN_HD CosSin<double> cossin_of_turns(double x) {
  CosSin<double> w;
  ::sincospi(2.0 * (x - ::rint(x)), &w.sin, &w.cos);
  return w;
}
#endif

}  // namespace pinn
