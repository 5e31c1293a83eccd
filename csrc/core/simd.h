// Vec<isa, T>: as many numbers of type T as one register of the instruction set holds.
//
// Built on the vector extensions that GCC and Clang share, so that one source serves every instruction set; the
// point formulas (*_point.h) take a Vec on the host where they take a float or a double on the device.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/isa.h"

namespace pinn {

// The instruction set for which this file is being compiled.
#ifdef PINN_ISA
inline constexpr Isa kIsa = Isa::PINN_ISA;
#endif

template <Isa isa>
inline constexpr int kVecBytes = isa == Isa::avx512 ? 64
                                 : isa == Isa::avx2 ? 32
                                                    : 16;

// The compiler's vector types, and the integers of the same width. Spelled out: GCC forgets a vector_size that depends
// on a template parameter.
template <int bytes, typename T>
struct Lanes;
template <>
struct Lanes<16, float> {
  using Raw [[gnu::vector_size(16)]] = float;
  using RawInt [[gnu::vector_size(16)]] = std::int32_t;
};
template <>
struct Lanes<16, double> {
  using Raw [[gnu::vector_size(16)]] = double;
  using RawInt [[gnu::vector_size(16)]] = std::int64_t;
};
template <>
struct Lanes<32, float> {
  using Raw [[gnu::vector_size(32)]] = float;
  using RawInt [[gnu::vector_size(32)]] = std::int32_t;
};
template <>
struct Lanes<32, double> {
  using Raw [[gnu::vector_size(32)]] = double;
  using RawInt [[gnu::vector_size(32)]] = std::int64_t;
};
template <>
struct Lanes<64, float> {
  using Raw [[gnu::vector_size(64)]] = float;
  using RawInt [[gnu::vector_size(64)]] = std::int32_t;
};
template <>
struct Lanes<64, double> {
  using Raw [[gnu::vector_size(64)]] = double;
  using RawInt [[gnu::vector_size(64)]] = std::int64_t;
};

#define PINN_INLINE [[gnu::always_inline]] inline

template <Isa isa, typename T>
struct Vec {
  using Scalar = T;
  using Raw = typename Lanes<kVecBytes<isa>, T>::Raw;
  using RawInt = typename Lanes<kVecBytes<isa>, T>::RawInt;
  static constexpr int size = kVecBytes<isa> / static_cast<int>(sizeof(T));

  Raw raw;

  Vec() = default;
  // x - 0 and not 0 + x, which the compiler may not drop (-0 + 0 is 0).
  PINN_INLINE Vec(T x) : raw(x - Raw{}) {}
  PINN_INLINE Vec(Raw r) : raw(r) {}

  PINN_INLINE static Vec load(const T* p) {
    Vec v;
    std::memcpy(&v.raw, p, sizeof(Raw));
    return v;
  }
  // The first `count` numbers; the rest are zero.
  PINN_INLINE static Vec load(const T* p, std::int64_t count) {
    if (count >= size) return load(p);
    Vec v(T(0));
    std::memcpy(&v.raw, p, static_cast<std::size_t>(count) * sizeof(T));
    return v;
  }
  // Numbers that lie `stride` apart.
  PINN_INLINE static Vec gather(const T* p, std::int64_t stride, std::int64_t count) {
    Vec v(T(0));
    for (int i = 0; i < size; ++i)
      if (i < count) v.raw[i] = p[i * stride];
    return v;
  }
  PINN_INLINE void store(T* p) const { std::memcpy(p, &raw, sizeof(Raw)); }
  PINN_INLINE void store(T* p, std::int64_t count) const {
    if (count >= size) return store(p);
    std::memcpy(p, &raw, static_cast<std::size_t>(count) * sizeof(T));
  }
  PINN_INLINE void scatter(T* p, std::int64_t stride, std::int64_t count) const {
    for (int i = 0; i < size; ++i)
      if (i < count) p[i * stride] = raw[i];
  }
  // Sum of all lanes, always in the same order: halves are added until one lane is left.
  PINN_INLINE T sum() const {
    T lanes[size];
    std::memcpy(lanes, &raw, sizeof(Raw));
    for (int half = size / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    return lanes[0];
  }

  PINN_INLINE friend Vec operator+(Vec a, Vec b) { return a.raw + b.raw; }
  PINN_INLINE friend Vec operator-(Vec a, Vec b) { return a.raw - b.raw; }
  PINN_INLINE friend Vec operator*(Vec a, Vec b) { return a.raw * b.raw; }
  PINN_INLINE friend Vec operator/(Vec a, Vec b) { return a.raw / b.raw; }
  PINN_INLINE friend Vec operator-(Vec a) { return -a.raw; }
  PINN_INLINE Vec& operator+=(Vec b) { return raw += b.raw, *this; }
  PINN_INLINE Vec& operator*=(Vec b) { return raw *= b.raw, *this; }
};

}  // namespace pinn
