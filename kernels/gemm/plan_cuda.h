// One matrix product as cuBLASLt knows it: its description and the algorithm that runs it. cuBLASLt reads matrices column by column; what
// is row-major here is its transpose there, so it forms C^T [N,M] = op(B)^T op(A)^T, and the bias runs along its columns, as its epilogue
// wants.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>

#include "device/cuda_check.h"
#include "device/exec.h"
#include "kernels/gemm/op.h"

namespace rk::cuda {

// For split sums; what cuBLAS itself sets aside on Hopper. A constant, so that a dry run knows it.
inline constexpr int64_t kGemmWorkspace = int64_t{32} << 20;

// The widest access that a pointer allows, up to 16 bytes. More does not change what a kernel can do: where a parameter lies in its bucket
// does not choose its algorithm.
inline uint8_t alignment(const Tensor& t) {
  const auto at = reinterpret_cast<uintptr_t>(t.data);
  return at == 0 ? 16 : static_cast<uint8_t>(std::min<uintptr_t>(16, at & (~at + 1)));
}

// The matrix that a product is added to; null when there is none.
inline Tensor base_of(const Gemm& g) { return g.add ? g.c : g.base; }

// All that the choice of an algorithm depends on.
struct GemmKey {
  int64_t M, N, K;
  DType factors, c;
  bool trans_a, trans_b, base, bias, tf32;
  uint8_t align_a, align_b, align_base, align_c, align_bias;

  GemmKey(const Exec& ex, const Gemm& g)
      : M(g.c.shape[0]),
        N(g.c.shape[1]),
        K(g.a.shape[g.trans_a ? 0 : 1]),
        factors(g.a.dtype),
        c(g.c.dtype),
        trans_a(g.trans_a),
        trans_b(g.trans_b),
        base(base_of(g)),
        bias(g.bias),
        tf32(ex.tf32 && g.a.dtype == DType::f32),
        align_a(alignment(g.a)),
        align_b(alignment(g.b)),
        align_base(alignment(base_of(g))),
        align_c(alignment(g.c)),
        align_bias(alignment(g.bias)) {}
  bool operator==(const GemmKey&) const = default;
};
struct GemmKeyHash {
  size_t operator()(const GemmKey& k) const {
    uint64_t h = 0;
    const auto add = [&](auto x) {
      h = (h ^ static_cast<uint64_t>(x)) * 0x9e3779b97f4a7c15u;
      h ^= h >> 29;
    };
    for (int64_t n : {k.M, k.N, k.K}) add(n);
    for (DType t : {k.factors, k.c}) add(t);
    for (bool b : {k.trans_a, k.trans_b, k.base, k.bias, k.tf32}) add(b);
    for (uint8_t a : {k.align_a, k.align_b, k.align_base, k.align_c, k.align_bias}) add(a);
    return h;
  }
};

// Algorithms come from cuBLASLt's own ranking by a rule and are never timed here, so that every run takes the same.
class GemmPlan {
 public:
  static constexpr int kRanks = 8;       // as long as the ranking gets
  static constexpr int kPreferred = -1;  // by the rule

  // rank: place in the ranking; found() tells whether it has so many.
  GemmPlan(const Gpu& gpu, const GemmKey& k, int rank = kPreferred)
      : first_(k.factors, k.trans_b ? k.K : k.N, k.trans_b ? k.N : k.K),
        second_(k.factors, k.trans_a ? k.M : k.K, k.trans_a ? k.K : k.M),
        c_(k.c, k.N, k.M) {
    check(cublasLtMatmulDescCreate(&product_, k.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(product_, CUBLASLT_MATMUL_DESC_TRANSA, k.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(product_, CUBLASLT_MATMUL_DESC_TRANSB, k.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (k.bias) {
      set(product_, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(product_, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(k.c));
      set(product_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, uintptr_t{k.align_bias});  // only its alignment is looked at
    }
    choose(gpu, k, rank);
  }
  GemmPlan(const GemmPlan&) = delete;
  GemmPlan& operator=(const GemmPlan&) = delete;
  ~GemmPlan() { cublasLtMatmulDescDestroy(product_); }

  bool found() const { return found_; }
  // Whether both run the same kernel.
  bool same_as(const GemmPlan& other) const { return std::memcmp(&algorithm_, &other.algorithm_, sizeof algorithm_) == 0; }

  void run(const Exec& ex, const Gemm& g, const Tensor& workspace) {
    if (g.bias) set(product_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias.data);
    const Tensor base = base_of(g);
    const float one = 1, beta = base ? 1 : 0;
    check(cublasLtMatmul(ex.gpu->blas(), product_, &one, g.b.data, first_.handle, g.a.data, second_.handle, &beta,
                         base ? base.data : g.c.data, c_.handle, g.c.data, c_.handle, &algorithm_, workspace.data, workspace.n_bytes(),
                         ex.gpu->stream()));
  }

 private:
  // A matrix as cuBLASLt sees it.
  struct Layout {
    Layout(DType t, int64_t rows, int64_t columns) {
      check(cublasLtMatrixLayoutCreate(&handle, type_of(t), static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), rows));
    }
    Layout(const Layout&) = delete;
    Layout& operator=(const Layout&) = delete;
    ~Layout() { cublasLtMatrixLayoutDestroy(handle); }
    cublasLtMatrixLayout_t handle = nullptr;
  };

  static cudaDataType type_of(DType t) {
    switch (t) {
      case DType::f32: return CUDA_R_32F;
      case DType::bf16: return CUDA_R_16BF;
      case DType::f16: return CUDA_R_16F;
      default: broken_promise("products on a GPU are of f32, bf16 or f16", Where::here());
    }
  }
  template <class T>
  static void set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t what, const T& value) {
    check(cublasLtMatmulDescSetAttribute(d, what, &value, sizeof value));
  }
  template <class T>
  static void set(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t what, const T& value) {
    check(cublasLtMatmulPreferenceSetAttribute(p, what, &value, sizeof value));
  }

  using Ranking = std::array<cublasLtMatmulHeuristicResult_t, kRanks>;

  void choose(const Gpu& gpu, const GemmKey& k, int rank) {
    cublasLtMatmulPreference_t p = nullptr;
    check(cublasLtMatmulPreferenceCreate(&p));
    set(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kGemmWorkspace));
    // Parts of a split sum are written apart in fp32 and then added in order; other schemes round them to C's type.
    set(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(k.align_b));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(k.align_a));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(k.align_base));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(k.align_c));
    Ranking ranking{};
    int n = 0;
    const cublasStatus_t s = cublasLtMatmulAlgoGetHeuristic(gpu.blas(), product_, first_.handle, second_.handle, c_.handle, c_.handle, p,
                                                            kRanks, ranking.data(), &n);
    cublasLtMatmulPreferenceDestroy(p);
    require(s == CUBLAS_STATUS_SUCCESS || s == CUBLAS_STATUS_NOT_SUPPORTED, "cuBLASLt answers what it can do");
    const int chosen = rank != kPreferred ? rank : gpu.arch() == 90 ? preferred_on_hopper(ranking, n) : 0;
    found_ = n > chosen;
    if (found_) algorithm_ = ranking[static_cast<size_t>(chosen)].algo;
  }

  // The first kernel of the ranking that works on tiles of a middle size, else the first. On an H200 such kernels were 7 % faster than the
  // first of the ranking over all large products of models from 0.19B to 7.2B (up to 38 %), and nowhere more than 3 % slower.
  static int preferred_on_hopper(const Ranking& ranking, int n) {
    for (int rank = 0; rank < n; ++rank) {
      const cublasLtMatmulAlgo_t& algorithm = ranking[static_cast<size_t>(rank)].algo;
      const auto tile = config<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID);
      const auto cluster = config<uint16_t>(algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID);
      const bool high = tile == CUBLASLT_MATMUL_TILE_168x128 || tile == CUBLASLT_MATMUL_TILE_176x128;
      const bool wide = tile == CUBLASLT_MATMUL_TILE_128x160 && cluster == CUBLASLT_CLUSTER_SHAPE_2x1x1;
      if ((high || wide) && config<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) == 1) return rank;
    }
    return 0;
  }
  template <class T>
  static T config(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t what) {
    T value{};
    size_t written = 0;
    check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, what, &value, sizeof value, &written));
    return value;
  }

  cublasLtMatmulDesc_t product_ = nullptr;
  Layout first_, second_, c_;
  cublasLtMatmulAlgo_t algorithm_{};
  bool found_ = false;
};

}  // namespace rk::cuda
