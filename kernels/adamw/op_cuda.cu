// Moves 28 bytes a parameter (reads p, g, m, v, writes p, m, v), 30 with rounded weights: everything else hides behind memory.
#include "kernels/adamw/op.h"
#include "kernels/common/numbers.cuh"
#include "kernels/step_control/op.h"

namespace rk::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPacks = 4;                 // of a thread, all of whose loads are under way at once
constexpr int64_t kBlockElements = 4096;  // of a block, whatever the width of its loads

struct Groups {
  const int64_t* ends;
  const double *lr_scale, *weight_decay;
};

struct Rule {
  double lr, decay;
  float beta1, rest1, beta2, rest2, eps;
};

// What the decision and a group make of the rule.
struct Step {
  float lr, decay, unbias1, unbias2, scale;
};

// The same roundings as on the CPU, bit for bit: where they are contracted is written out. eps is so small that a moment of nothing but
// noise decides on a whole step, and a run whose optimizer is offloaded shall be the same run.
__device__ __forceinline__ void update(const Rule& rule, const Step& s, float g, float& p, float& m, float& v) {
  const float grad = g * s.scale;
  m = fmaf(rule.beta1, m, rule.rest1 * grad);
  v = fmaf(rule.beta2, v, rule.rest2 * (grad * grad));
  const float u = (m * s.unbias1) / (sqrtf(v * s.unbias2) + rule.eps);
  p = fmaf(-s.lr, fmaf(s.decay, p, u), p);
}

__device__ __forceinline__ void choose_group(const Groups& groups, const Rule& rule, int group, Step& s) {
  s.lr = static_cast<float>(rule.lr * groups.lr_scale[group]);
  s.decay = static_cast<float>(rule.decay * groups.weight_decay[group]);
}

// PACK neighbours are moved at once; n is a multiple of PACK. w may be null.
template <class W, int PACK>
__global__ void adamw(float* p, const float* g, float* m, float* v, W* w, int64_t n, Groups groups, const double* decision, Rule rule) {
  if (decision[kApply] == 0) return;
  constexpr int64_t stride = kThreads * PACK;
  const int64_t block = static_cast<int64_t>(blockIdx.x) * kBlockElements, block_end = block + kBlockElements;
  const int64_t thread = block + static_cast<int64_t>(threadIdx.x) * PACK;
  Step s;
  s.unbias1 = static_cast<float>(decision[kBias1]);
  s.unbias2 = static_cast<float>(decision[kBias2]);
  s.scale = static_cast<float>(decision[kGradScale]);
  int group = 0;
  while (groups.ends[group] <= block) ++group;
  int64_t group_end = groups.ends[group];
  choose_group(groups, rule, group, s);
  for (int64_t first = thread; first < block_end && first < n; first += kPacks * stride) {
    float pp[kPacks][PACK], gg[kPacks][PACK], mm[kPacks][PACK], vv[kPacks][PACK];
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int64_t at = first + k * stride;
      if (at >= n) break;
      load<PACK>(g + at, gg[k]);
      load<PACK>(p + at, pp[k]);
      load<PACK>(m + at, mm[k]);
      load<PACK>(v + at, vv[k]);
    }
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int64_t at = first + k * stride;
      if (at >= n) break;
#pragma unroll
      for (int i = 0; i < PACK; ++i) {
        if (at + i >= group_end) {
          do ++group;
          while (groups.ends[group] <= at + i);
          group_end = groups.ends[group];
          choose_group(groups, rule, group, s);
        }
        update(rule, s, gg[k][i], pp[k][i], mm[k][i], vv[k][i]);
      }
      store<PACK>(p + at, pp[k]);
      store<PACK>(m + at, mm[k]);
      store<PACK>(v + at, vv[k]);
      if (w) store<PACK>(w + at, pp[k]);
    }
  }
}

bool aligned(const void* p, size_t n_bytes) { return reinterpret_cast<uintptr_t>(p) % n_bytes == 0; }

}  // namespace

void run(const Exec& ex, const AdamW& a) {
  require(a.p.dtype == DType::f32, "the optimizer of a GPU works in f32");
  const int64_t n = a.p.numel();
  const Rule rule{a.lr,
                  a.decay,
                  static_cast<float>(a.beta1),
                  static_cast<float>(1 - a.beta1),
                  static_cast<float>(a.beta2),
                  static_cast<float>(1 - a.beta2),
                  static_cast<float>(a.eps)};
  const Groups groups{a.ends.as<int64_t>(), a.lr_scale.as<double>(), a.weight_decay.as<double>()};
  const Launch grid{.grid = static_cast<unsigned>(ceil_div(n, kBlockElements)), .block = kThreads};
  with_dtype(a.w ? a.w.dtype : a.p.dtype, [&]<class W>() {
    W* w = a.w && a.w.data != a.p.data ? a.w.as<W>() : nullptr;
    float *p = a.p.as<float>(), *m = a.m.as<float>(), *v = a.v.as<float>();
    const float* g = a.g.as<float>();
    const double* decision = a.decision.as<double>();
    const bool wide = n % 4 == 0 && aligned(p, 16) && aligned(g, 16) && aligned(m, 16) && aligned(v, 16) && aligned(w, 4 * sizeof(W));
    if (wide) {
      launch(ex, adamw<W, 4>, grid, p, g, m, v, w, n, groups, decision, rule);
    } else {
      launch(ex, adamw<W, 1>, grid, p, g, m, v, w, n, groups, decision, rule);
    }
  });
}

}  // namespace rk::cuda
