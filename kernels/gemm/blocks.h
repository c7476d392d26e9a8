// How a matrix product is cut for the caches; shared by the operator (which takes scratch) and the CPU code.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/vec.h"
#include "kernels/gemm/op.h"

namespace rk::cpu {

// Sizes of a product, and how op(A) and op(B) lie in memory.
struct GemmSizes {
  int64_t M, N, K;
  explicit GemmSizes(const Gemm& g) : M(g.a.shape[g.trans_a ? 1 : 0]), N(g.b.shape[g.trans_b ? 0 : 1]), K(g.a.shape[g.trans_a ? 0 : 1]) {}
};

// The micro kernel's tile: MR rows times NV vectors of W columns fill the registers.
template <class A>
struct MicroTile {
  static constexpr int W = kLanes<A>;
  static constexpr int MR = kVectorRegisters == 32 ? 8 : 4;
  static constexpr int NV = 3;
  static constexpr int NR = NV * W;
};

// What a product is added to, row by row; both parts may be absent.
template <class O>
struct Addend {
  const O *base, *bias;
  int64_t N;
  explicit Addend(const Gemm& g) : base(g.add ? g.c.as<O>() : maybe<O>(g.base)), bias(maybe<O>(g.bias)), N(g.c.shape[1]) {}
  bool present() const { return base || bias; }
  const O* base_at(int64_t row, int64_t column) const { return base ? base + row * N + column : nullptr; }
  const O* bias_at(int64_t column) const { return bias ? bias + column : nullptr; }
};

inline constexpr int64_t kGemmFewRows = 16;  // up to here packing costs more than it saves

// kc: one slice of K that the caches hold; kb, nb: the part of op(B) packed at once; mc: rows of one tile.
// Sums over K always run in slices of kc, so that bits depend on nothing but the sizes.
template <class A>
struct GemmBlocks {
  static constexpr int64_t kc = 256, mc = 96;
  int64_t kb, nb;
  bool via_sum;  // C is narrower than the sums: they are formed in scratch

  GemmBlocks(const GemmSizes& s, bool narrow_c) : via_sum(narrow_c) {
    constexpr int64_t budget = (int64_t{5} << 18) / sizeof(A), NR = MicroTile<A>::NR;  // stays in a core's second cache
    kb = std::min<int64_t>(s.K, 1024);
    const int64_t most = std::max(NR, budget / std::max<int64_t>(kb, 1) / NR * NR), parts = std::max<int64_t>(1, (s.N + most - 1) / most);
    nb = round_up((s.N + parts - 1) / parts, NR);
  }
  static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

  int64_t packed_b() const { return kb * nb; }
  int64_t packed_a() const { return mc * std::min(kb, kc); }  // per thread
  int64_t sum(const GemmSizes& s) const { return via_sum ? s.M * nb : 0; }
  int64_t total(const GemmSizes& s, int threads) const { return packed_b() + threads * packed_a() + sum(s); }
};

inline bool few_rows(const Gemm& g, const GemmSizes& s) { return !g.trans_a && s.M <= kGemmFewRows; }

}  // namespace rk::cpu
