// A network and its points as Python hands them over, every length checked against the shape.
#pragma once

#include <string>

#include "bindings/register.h"
#include "mlp/mlp.h"

namespace pinn {

struct Network {
  Array x, B;                     // [n, d], [d, m]
  std::vector<Array> parameters;  // weight and bias of each linear layer
  MlpShape shape;

  Network(Array points, Array frequencies, std::vector<Array> layers, const MlpShape& sizes)
      : x(points), B(frequencies), parameters(std::move(layers)), shape(sizes) {
    const std::size_t expected = 2 * static_cast<std::size_t>(shape.num_linear);
    if (parameters.size() != expected)
      throw std::invalid_argument("parameters: expected " + std::to_string(expected) + " arrays, got " +
                                  std::to_string(parameters.size()));
    mlp<float>();
  }

  // Throws std::invalid_argument where an array has another length.
  template <typename T>
  Mlp<T> mlp() const {
    Mlp<T> result{};
    result.x = pointer<T>("x", x, shape.n * shape.d);
    result.B = pointer<T>("B", B, shape.d * shape.m);
    for (int l = 0; l < shape.num_linear; ++l) {
      const std::size_t place = 2 * static_cast<std::size_t>(l);
      const std::string layer = "[" + std::to_string(l) + "]";
      result.weight[l] = pointer<T>("weight" + layer, parameters[place], shape.width[l + 1] * shape.width[l]);
      result.bias[l] = pointer<T>("bias" + layer, parameters[place + 1], shape.width[l + 1]);
    }
    result.shape = shape;
    return result;
  }

  // Numbers of the gradient of the parameters, and of B where it is wanted.
  std::int64_t gradient_size(bool want_B) const { return shape.num_parameters() + (want_B ? shape.d * shape.m : 0); }

  // Scratch memory of a CUDA kernel, null on the CPU.
  void* workspace(const Array& bytes, Handle stream, bool gradient, bool want_B) const {
    if constexpr (kHasCuda)
      if (stream) return pointer<void>("workspace", bytes, cuda_workspace_bytes(shape, gradient, want_B));
    return nullptr;
  }
};

}  // namespace pinn
