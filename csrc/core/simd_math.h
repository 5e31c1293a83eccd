// Elementary functions of a Vec: exp, expm1, erf, cos and sin, at or near the accuracy of libm.
//
// Methods: exp and expm1 by the Taylor polynomial on |r| <= ln(2)/2 after x = n ln 2 + r; cos and sin by the minimax
// polynomials of Cephes (Moshier) on [-pi/4, pi/4] after a three-part Cody-Waite reduction; erf by the rational
// approximations of W. J. Cody, Math. Comp. 23 (1969) 631. tests/pinn_ext/test_activation.py holds them to the bounds.
#pragma once

#include <math.h>

#include "core/math.h"
#include "core/simd.h"

namespace pinn {

template <typename V, typename M>
PINN_INLINE V select(M mask, V a, V b) {
  return V(static_cast<typename V::Raw>(mask ? a.raw : b.raw));
}

template <typename V, typename T, std::size_t n>
PINN_INLINE V polynomial(V x, const T (&coefficients)[n]) {  // highest power first
  V p(static_cast<typename V::Scalar>(coefficients[0]));
  for (std::size_t i = 1; i < n; ++i) p = p * x + V(static_cast<typename V::Scalar>(coefficients[i]));
  return p;
}

template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> fabs_of(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  return select<V>(x.raw < T(0), -x, x);
}

template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> copysign_of(Vec<isa, T> x, Vec<isa, T> sign) {  // x >= 0
  using V = Vec<isa, T>;
  return select<V>(sign.raw < T(0), -x, x);
}

// A NaN in x stays: every comparison with it is false.
template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> min_of(Vec<isa, T> x, Vec<isa, T> bound) {
  using V = Vec<isa, T>;
  return select<V>(x.raw > bound.raw, bound, x);
}

template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> max_of(Vec<isa, T> x, Vec<isa, T> bound) {
  using V = Vec<isa, T>;
  return select<V>(x.raw < bound.raw, bound, x);
}

// a where x < bound, else b.
template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> select_below(Vec<isa, T> x, Vec<isa, T> bound, Vec<isa, T> a, Vec<isa, T> b) {
  return select<Vec<isa, T>>(x.raw < bound.raw, a, b);
}

// Nearest integer, as a number and, in the low bits of `bits`, as a two's complement integer. |x| < 2^21.
template <typename V>
struct Rounded {
  V value;
  typename V::RawInt bits;
};

template <Isa isa, typename T>
PINN_INLINE Rounded<Vec<isa, T>> round_of(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  const T magic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);  // 1.5 * 2^(mantissa bits)
  V shifted = x + V(magic);
  Rounded<V> r;
  r.value = shifted - V(magic);
  r.bits = reinterpret_cast<typename V::RawInt>(shifted.raw);
  return r;
}

// 2^n for the integer in the low bits of `bits`, -126 <= n <= 127 (float), -1022 <= n <= 1023 (double).
template <typename V>
PINN_INLINE V power_of_two(typename V::RawInt bits) {
  constexpr int mantissa = sizeof(typename V::Scalar) == 4 ? 23 : 52;
  const V one(typename V::Scalar(1));
  typename V::RawInt b = reinterpret_cast<typename V::RawInt>(one.raw) + (bits << mantissa);
  return V(reinterpret_cast<typename V::Raw>(b));
}

// exp(x) = scale * (1 + p) with |p| < 0.42.
template <typename V>
struct ExpParts {
  V scale, p;
};

template <Isa isa, typename T>
PINN_INLINE ExpParts<Vec<isa, T>> exp_parts(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  // ln 2 in two parts; the first has so few bits that its product with n is exact.
  const T high = sizeof(T) == 4 ? T(0.693359375) : T(6.93145751953125e-1);
  const T low = sizeof(T) == 4 ? T(-2.12194440e-4) : T(1.42860682030941723212e-6);
  Rounded<V> n = round_of(x * V(T(1.44269504088896340736)));
  V r = x - n.value * V(high);
  r = r - n.value * V(low);
  V p;
  if constexpr (sizeof(T) == 4) {
    constexpr double c[] = {1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5};
    p = polynomial(r, c);
  } else {
    constexpr double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                            1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
    p = polynomial(r, c);
  }
  return {power_of_two<V>(n.bits), r * r * p + r};
}

template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> exp_of(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  const T bound = sizeof(T) == 4 ? T(87) : T(708);
  ExpParts<V> e = exp_parts(max_of(min_of(x, V(bound)), V(-bound)));
  return e.scale * e.p + e.scale;
}

template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> expm1_of(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  const T bound = sizeof(T) == 4 ? T(87) : T(708);
  ExpParts<V> e = exp_parts(max_of(min_of(x, V(bound)), V(-bound)));
  return e.scale * e.p + (e.scale - V(T(1)));
}

// cos and sin of r + q pi/2 from |r| <= pi/4 and the quadrant q in the low bits of `quadrant`.
template <typename V>
PINN_INLINE CosSin<V> cossin_of_quadrant(V r, typename V::RawInt quadrant) {
  using T = typename V::Scalar;
  V r2 = r * r;
  V s, c;
  if constexpr (sizeof(T) == 4) {
    constexpr double sc[] = {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1};
    constexpr double cc[] = {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2};
    s = polynomial(r2, sc);
    c = polynomial(r2, cc);
  } else {
    constexpr double sc[] = {1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6,
                             -1.98412698295895385996e-4, 8.33333333332211858878e-3,  -1.66666666666666307295e-1};
    constexpr double cc[] = {-1.13585365213876817300e-11, 2.08757008419747316778e-9,  -2.75573141792967388112e-7,
                             2.48015872888517045348e-5,   -1.38888888888730564116e-3, 4.16666666666665929218e-2};
    s = polynomial(r2, sc);
    c = polynomial(r2, cc);
  }
  s = r + r * r2 * s;
  c = V(T(1)) - V(T(0.5)) * r2 + r2 * r2 * c;
  auto odd = (quadrant & 1) != 0;
  V sine = select<V>(odd, c, s), cosine = select<V>(odd, s, c);
  return {select<V>(((quadrant + 1) & 2) != 0, -cosine, cosine), select<V>((quadrant & 2) != 0, -sine, sine)};
}

// cos and sin of 2 pi x, for any x: the whole turns and the quarters are taken off exactly.
template <Isa isa, typename T>
PINN_INLINE CosSin<Vec<isa, T>> cossin_of_turns(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  const T integers_only = sizeof(T) == 4 ? T(8388608.0) : T(4503599627370496.0);  // 2^23, 2^52
  V turns = x - V(T(2048)) * round_of(x * V(T(1.0 / 2048))).value;
  turns = select<V>(fabs_of(x).raw < integers_only, turns, x - x);  // no fraction is left; inf - inf stays NaN
  Rounded<V> quarter = round_of(turns * V(T(4)));
  V r = (turns - quarter.value * V(T(0.25))) * V(T(kTwoPi));
  return cossin_of_quadrant<V>(r, quarter.bits);
}

template <typename M>
PINN_INLINE bool any_of(const M& mask) {
  std::uint64_t words[sizeof(M) / 8], any = 0;
  std::memcpy(words, &mask, sizeof(M));
  for (std::uint64_t word : words) any |= word;
  return any != 0;
}

template <Isa isa, typename T>
PINN_INLINE CosSin<Vec<isa, T>> cossin_of(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  // pi/2 in three parts, the first two with trailing zeros, so that their products with the quadrant are exact.
  const T p1 = sizeof(T) == 4 ? T(1.5703125) : T(2 * 7.85398125648498535156e-1);
  const T p2 = sizeof(T) == 4 ? T(4.83751296997070312500e-4) : T(2 * 3.77489470793079817668e-8);
  const T p3 = sizeof(T) == 4 ? T(7.54978995489188216e-8) : T(2 * 2.69515142907905952645e-15);
  const T bound = sizeof(T) == 4 ? T(8192) : T(1e6);  // where those products stop being exact
  Rounded<V> q = round_of(x * V(T(0.63661977236758134308)));
  V r = x - q.value * V(p1);
  r = r - q.value * V(p2);
  r = r - q.value * V(p3);
  CosSin<V> w = cossin_of_quadrant<V>(r, q.bits);
  if (any_of(fabs_of(x).raw > bound))
    for (int i = 0; i < V::size; ++i) {
      w.cos.raw[i] = static_cast<T>(::cos(static_cast<double>(x.raw[i])));
      w.sin.raw[i] = static_cast<T>(::sin(static_cast<double>(x.raw[i])));
    }
  return w;
}

template <Isa isa, typename T>
PINN_INLINE Vec<isa, T> erf_of(Vec<isa, T> x) {
  using V = Vec<isa, T>;
  constexpr double a[] = {1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
                          3.20937758913846947e3};
  constexpr double b[] = {1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
                          2.84423683343917062e3};
  constexpr double c[] = {2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
                          6.61191906371416295e1,  2.98635138197400131e2,  8.81952221241769090e2,
                          1.71204761263407058e3,  2.05107837782607147e3,  1.23033935479799725e3};
  constexpr double d[] = {1.0,
                          1.57449261107098347e1,
                          1.17693950891312499e2,
                          5.37181101862009858e2,
                          1.62138957456669019e3,
                          3.29079923573345963e3,
                          4.36261909014324716e3,
                          3.43936767414372164e3,
                          1.23033935480374942e3};
  constexpr double p[] = {1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
                          1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4};
  constexpr double q[] = {1.0,
                          2.56852019228982242e0,
                          1.87295284992346725e0,
                          5.27905102951428412e-1,
                          6.05183413124413191e-2,
                          2.33520497626869185e-3};
  V y = min_of(fabs_of(x), V(T(sizeof(T) == 4 ? 4.2 : 6.0)));  // beyond, erf is 1 to the last bit
  V y2 = y * y;
  V small = x * polynomial(y2, a) / polynomial(y2, b);
  V gauss = exp_of(-y2);
  V middle = gauss * polynomial(y, c) / polynomial(y, d);
  V w = V(T(1)) / select<V>(y.raw < T(0.5), V(T(1)), y2);
  V tail = gauss / select<V>(y.raw < T(0.5), V(T(1)), y) *
           (V(T(5.6418958354775628695e-1)) - w * polynomial(w, p) / polynomial(w, q));
  V large = V(T(1)) - select<V>(y.raw > T(4), tail, middle);
  return select<V>(y.raw <= T(0.46875), small, copysign_of(large, x));
}

}  // namespace pinn
