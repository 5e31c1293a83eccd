// A network on jets, forward and back, one point at a time in double precision and plain loops: what the fused kernels
// are held to.
#pragma once

#include <cmath>
#include <vector>

#include "jets/activation_point.h"
#include "mlp/mlp.h"

namespace pinn::reference {

using std::int64_t;
using Numbers = std::vector<double>;

inline std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }

struct Network {
  MlpShape shape;
  Numbers x, B;                       // [n, d], [d, m]
  std::vector<Numbers> weight, bias;  // of each linear layer
};

// Of one point: the input of each layer, and of each hidden layer the jet before its activation; [streams, width].
struct Trace {
  std::vector<Numbers> h, z;
  Numbers y;
};

inline Numbers features(const Network& net, int64_t point) {
  const MlpShape& shape = net.shape;
  const JetStreams& streams = shape.streams;
  const int64_t m = shape.m;
  Numbers h(at(streams.count() * 2 * m));
  for (int64_t k = 0; k < m; ++k) {
    double z = 0, kappa = 0;
    for (int64_t i = 0; i < shape.d; ++i) z += kTwoPi * net.x[at(point * shape.d + i)] * net.B[at(i * m + k)];
    h[at(k)] = std::cos(z);
    h[at(m + k)] = std::sin(z);
    for (int j = 0; j < streams.num_first; ++j) {
      const double rate = kTwoPi * net.B[at(streams.first[j] * m + k)];
      kappa += streams.weight[j] * rate * rate;
      h[at((1 + j) * 2 * m + k)] = -std::sin(z) * rate;
      h[at((1 + j) * 2 * m + m + k)] = std::cos(z) * rate;
    }
    if (!streams.has_laplacian) continue;
    h[at(streams.laplacian() * 2 * m + k)] = -std::cos(z) * kappa;
    h[at(streams.laplacian() * 2 * m + m + k)] = -std::sin(z) * kappa;
  }
  return h;
}

inline Trace forward(const Network& net, int64_t point) {
  const JetStreams& streams = net.shape.streams;
  Trace trace;
  Numbers h = features(net, point);
  for (int l = 0; l < net.shape.num_linear; ++l) {
    const int64_t in = net.shape.width[l], out = net.shape.width[l + 1];
    Numbers z(at(streams.count() * out)), after(z.size());
    for (int s = 0; s < streams.count(); ++s)
      for (int64_t o = 0; o < out; ++o) {
        double sum = s == 0 ? net.bias[at(l)][at(o)] : 0;
        for (int64_t i = 0; i < in; ++i) sum += net.weight[at(l)][at(o * in + i)] * h[at(s * in + i)];
        z[at(s * out + o)] = sum;
      }
    trace.h.push_back(h);
    if (l + 1 == net.shape.num_linear) {
      trace.y = z;
      break;
    }
    with_activation(net.shape.activation, [&](auto activation) {
      for (int64_t o = 0; o < out; ++o)
        activation_jet_point<decltype(activation)::value, double, double>(
            streams, [&](int s) { return z[at(s * out + o)]; },
            [&](int s, double value) { after[at(s * out + o)] = value; });
    });
    trace.z.push_back(z);
    h = after;
  }
  return trace;
}

// d (features, v) / dB
inline void features_backward(const Network& net, int64_t point, const Numbers& v, double* v_B) {
  const MlpShape& shape = net.shape;
  const JetStreams& streams = shape.streams;
  const int64_t m = shape.m;
  const Numbers h = features(net, point);
  for (int64_t k = 0; k < m; ++k) {
    const double c = h[at(k)], s = h[at(m + k)];
    const auto v_c = [&](int stream) { return v[at(stream * 2 * m + k)]; };
    const auto v_s = [&](int stream) { return v[at(stream * 2 * m + m + k)]; };
    double v_z = v_s(0) * c - v_c(0) * s, kappa = 0, v_kappa = 0;
    const auto rate = [&](int j) { return kTwoPi * net.B[at(streams.first[j] * m + k)]; };
    for (int j = 0; j < streams.num_first; ++j) kappa += streams.weight[j] * rate(j) * rate(j);
    if (streams.has_laplacian) {
      const int laplacian = streams.laplacian();
      v_kappa = -c * v_c(laplacian) - s * v_s(laplacian);
      v_z += kappa * (s * v_c(laplacian) - c * v_s(laplacian));
    }
    for (int j = 0; j < streams.num_first; ++j) {
      v_z += rate(j) * (-c * v_c(1 + j) - s * v_s(1 + j));
      const double v_rate = c * v_s(1 + j) - s * v_c(1 + j) + 2 * streams.weight[j] * rate(j) * v_kappa;
      v_B[streams.first[j] * m + k] += kTwoPi * v_rate;
    }
    for (int64_t i = 0; i < shape.d; ++i) v_B[i * m + k] += kTwoPi * v_z * net.x[at(point * shape.d + i)];
  }
}

// Adds to gradient, [num_parameters + d m], from the cotangent of the outputs, [streams, c].
inline void backward(const Network& net, int64_t point, const Trace& trace, Numbers v, Numbers& gradient) {
  const JetStreams& streams = net.shape.streams;
  double* end = gradient.data() + net.shape.num_parameters();
  double* const v_B = end;
  for (int l = net.shape.num_linear - 1; l >= 0; --l) {
    const int64_t in = net.shape.width[l], out = net.shape.width[l + 1];
    double *v_bias = end - out, *v_weight = v_bias - in * out;
    end = v_weight;
    Numbers v_h(at(streams.count() * in)), v_z(v_h.size());
    for (int s = 0; s < streams.count(); ++s)
      for (int64_t o = 0; o < out; ++o) {
        if (s == 0) v_bias[o] += v[at(o)];
        for (int64_t i = 0; i < in; ++i) {
          v_weight[o * in + i] += v[at(s * out + o)] * trace.h[at(l)][at(s * in + i)];
          v_h[at(s * in + i)] += v[at(s * out + o)] * net.weight[at(l)][at(o * in + i)];
        }
      }
    if (l == 0) return features_backward(net, point, v_h, v_B);
    const Numbers& z = trace.z[at(l - 1)];
    with_activation(net.shape.activation, [&](auto activation) {
      for (int64_t i = 0; i < in; ++i)
        activation_jet_backward_point<decltype(activation)::value, double, double>(
            streams, [&](int s) { return z[at(s * in + i)]; }, [&](int s) { return v_h[at(s * in + i)]; },
            [&](int s, double value) { v_z[at(s * in + i)] = value; });
    });
    v = v_z;
  }
}

}  // namespace pinn::reference
