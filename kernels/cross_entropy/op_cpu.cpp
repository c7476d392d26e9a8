#include "kernels/cross_entropy/op.h"

#include <cmath>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"

namespace rk::cpu {
namespace {

template <class A>
struct Maximum {
  A value;
  int64_t index;  // the lowest one
};

constexpr int64_t kPiece = 1024;

template <class A>
A maximum_of(const A* z, int64_t n) {
  A top = z[0];
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; ++j) top = z[j] > top ? z[j] : top;
  return top;
}

template <class A>
Maximum<A> find_maximum(const A* z, int64_t V) {
  A top = z[0];
  int64_t index = 0;
  for (int64_t begin = 0; begin < V; begin += kPiece) {
    const A here = maximum_of(z + begin, std::min(kPiece, V - begin));
    if (here > top) {
      top = here;
      index = begin;
    }
  }
  while (index < V - 1 && z[index] != top) ++index;
  return {top, index};
}

// Sum of exp(z - top), in pieces summed in double; writes the terms to e unless that is null.
template <class A>
double sum_exp(const A* z, A top, int64_t V, A* e) {
  double total = 0;
  for (int64_t begin = 0; begin < V; begin += kPiece) {
    const int64_t end = std::min(V, begin + kPiece);
    A sum = 0;
    if (e) {
#pragma omp simd reduction(+ : sum)
      for (int64_t j = begin; j < end; ++j) {
        e[j] = fast_exp(z[j] - top);
        sum += e[j];
      }
    } else {
#pragma omp simd reduction(+ : sum)
      for (int64_t j = begin; j < end; ++j) sum += fast_exp(z[j] - top);
    }
    total += static_cast<double>(sum);
  }
  return total;
}

// Factors of a row's two gradients.
struct Scales {
  double loss, l2;
};

// Turns one row into its gradient if wanted; returns its cross entropy, 0 if not counted.
template <class A>
double one_row(A* z, int64_t V, int32_t target, const Scales* wanted) {
  require(target < V, "a target lies inside the vocabulary");
  const Maximum<A> top = find_maximum(z, V);
  const bool counted = target >= 0;
  double ce = 0, sum = 1;
  if (counted) {
    const double of_target = static_cast<double>(z[target]);
    sum = sum_exp(z, top.value, V, wanted ? z : nullptr);
    ce = static_cast<double>(top.value) + std::log(sum) - of_target;
  }
  if (!wanted) return ce;
  if (counted) {
    const A share = static_cast<A>(wanted->loss / sum);
#pragma omp simd
    for (int64_t j = 0; j < V; ++j) z[j] *= share;
    z[target] -= static_cast<A>(wanted->loss);
  } else {
    std::fill(z, z + V, A(0));
  }
  if (wanted->l2 != 0) z[top.index] += static_cast<A>(wanted->l2 * static_cast<double>(top.value));
  return ce;
}

template <class A>
void rows(const Exec& ex, const CrossEntropy& a, double* row_ce) {
  const int64_t R = a.targets.numel(), V = a.logits.numel() / R;
  A *logits = a.logits.as<A>(), *row_loss = maybe<A>(a.row_loss);
  const int32_t* targets = a.targets.as<int32_t>();
  const float* weights = maybe<float>(a.weights);
  const double outer = a.loss_scale ? *a.loss_scale.as<double>() : 1.0;
  for_rows(ex, R, V, [&](int64_t r) {
    const double weight = weights ? static_cast<double>(weights[r]) : 1.0;
    const Scales scales{outer * a.scale * weight, targets[r] == kNoRow ? 0 : outer * a.l2_scale};
    const double ce = one_row(logits + r * V, V, targets[r], a.want_gradient ? &scales : nullptr);
    if (row_loss) row_loss[r] = static_cast<A>(ce);
    row_ce[r] = targets[r] >= 0 ? weight * ce : 0.0;
  });
  double total = 0;
  for (int64_t r = 0; r < R; ++r) total += row_ce[r];
  *a.loss_sum.as<double>() += total;
}

}  // namespace

void run(const Exec& ex, const CrossEntropy& a, const Tensor& row_ce) {
  if (a.logits.dtype == DType::f64) {
    rows<double>(ex, a, row_ce.as<double>());
  } else {
    rows<float>(ex, a, row_ce.as<double>());
  }
}

}  // namespace rk::cpu
