// Products by cuBLASLt. It reads matrices column by column: what is row-major here is its transpose there, so it forms
// C^T [N,M] = op(B)^T op(A)^T, and the bias runs along its columns, as its epilogue wants.
#include <bit>
#include <cstring>
#include <unordered_map>

#include "kernels/common/launch.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/gemm/op.h"

namespace rk::cuda {
namespace {

// For split sums; what cuBLAS itself sets aside on Hopper. A constant, so that a dry run knows it.
constexpr int64_t kWorkspace = int64_t{32} << 20;

// All that the choice of an algorithm depends on. Plain bytes: compared and hashed as such.
struct PlanKey {
  int64_t M, N, K;
  DType factors, c;
  bool trans_a, trans_b, base, bias, tf32;
  uint8_t align_a, align_b, align_base, align_c, align_bias;

  bool operator==(const PlanKey&) const = default;
};
struct PlanHash {
  size_t operator()(const PlanKey& k) const {
    uint64_t h = 0;
    const auto add = [&](uint64_t x) { h = (h ^ x) * 0x9e3779b97f4a7c15u, h ^= h >> 29; };
    for (int64_t n : {k.M, k.N, k.K}) add(static_cast<uint64_t>(n));
    for (DType t : {k.factors, k.c}) add(static_cast<uint64_t>(t));
    for (bool b : {k.trans_a, k.trans_b, k.base, k.bias, k.tf32}) add(b);
    for (uint8_t a : {k.align_a, k.align_b, k.align_base, k.align_c, k.align_bias}) add(a);
    return h;
  }
};

// The widest access that a pointer allows, up to 16 bytes: more does not change what a kernel can do, and so where a parameter lies in its
// bucket does not choose its algorithm.
uint8_t alignment(const Tensor& t) {
  const auto at = reinterpret_cast<uintptr_t>(t.data);
  return at == 0 ? 16 : static_cast<uint8_t>(std::min<uintptr_t>(16, at & (~at + 1)));
}

cudaDataType type_of(DType t) {
  switch (t) {
    case DType::f32: return CUDA_R_32F;
    case DType::bf16: return CUDA_R_16BF;
    case DType::f16: return CUDA_R_16F;
    default: broken_promise("products on a GPU are of f32, bf16 or f16", Where::here());
  }
}

template <class T>
void set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t what, const T& value) {
  check(cublasLtMatmulDescSetAttribute(d, what, &value, sizeof value));
}
template <class T>
void set(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t what, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(p, what, &value, sizeof value));
}

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

// One product's description and its algorithm, the first choice of cuBLASLt's own ranking: nothing is timed, so every run takes the same.
class Plan {
 public:
  Plan(cublasLtHandle_t blas, const PlanKey& k)
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
    choose(blas, k);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() { cublasLtMatmulDescDestroy(product_); }

  void run(const Exec& ex, const Gemm& g, const Tensor& base, const Tensor& workspace) {
    if (g.bias) set(product_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias.data);
    const float one = 1, beta = base ? 1 : 0;
    check(cublasLtMatmul(ex.gpu->blas(), product_, &one, g.b.data, first_.handle, g.a.data, second_.handle, &beta,
                         base ? base.data : g.c.data, c_.handle, g.c.data, c_.handle, &algorithm_, workspace.data, workspace.n_bytes(),
                         ex.gpu->stream()));
  }

 private:
  void choose(cublasLtHandle_t blas, const PlanKey& k) {
    cublasLtMatmulPreference_t p = nullptr;
    check(cublasLtMatmulPreferenceCreate(&p));
    set(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kWorkspace));
    // Parts of a split sum are written apart in fp32 and then added in order; other schemes round them to C's type.
    set(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(k.align_b));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(k.align_a));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(k.align_base));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(k.align_c));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t s =
        cublasLtMatmulAlgoGetHeuristic(blas, product_, first_.handle, second_.handle, c_.handle, c_.handle, p, 1, &best, &found);
    cublasLtMatmulPreferenceDestroy(p);
    check(s);
    require(found == 1, "cuBLASLt has an algorithm for every product");
    algorithm_ = best.algo;
  }

  cublasLtMatmulDesc_t product_ = nullptr;
  Layout first_, second_, c_;
  cublasLtMatmulAlgo_t algorithm_{};
};

struct GemmPlans {
  std::unordered_map<PlanKey, Plan, PlanHash> known;
};

// C = base + bias: a product over an empty sum. One thread an element.
template <class T>
__global__ void __launch_bounds__(256) empty_sum(const T* base, const T* bias, T* c, int64_t n, int64_t N) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= n) return;
  c[i] = from_float<T>((base ? to_float(base[i]) : 0.0f) + (bias ? to_float(bias[i % N]) : 0.0f));
}

}  // namespace

void run(const Exec& ex, const Gemm& g) {
  const ArenaScope scope(*ex.scratch);
  const Tensor workspace = ex.scratch->take(DType::u8, {kWorkspace});
  if (ex.dry()) return;
  const Tensor base = g.add ? g.c : g.base;
  const int64_t M = g.c.shape[0], N = g.c.shape[1], K = g.a.shape[g.trans_a ? 0 : 1];
  if (K == 0) {
    const auto blocks = static_cast<unsigned>(ceil_div(M * N, 256));
    return with_dtype(g.c.dtype, [&]<class T>() {
      launch(ex, empty_sum<T>, {.grid = blocks, .block = 256}, maybe<T>(base), maybe<T>(g.bias), g.c.as<T>(), M * N, N);
    });
  }
  const PlanKey key{.M = M,
                    .N = N,
                    .K = K,
                    .factors = g.a.dtype,
                    .c = g.c.dtype,
                    .trans_a = g.trans_a,
                    .trans_b = g.trans_b,
                    .base = bool(base),
                    .bias = bool(g.bias),
                    .tf32 = ex.tf32 && g.a.dtype == DType::f32,
                    .align_a = alignment(g.a),
                    .align_b = alignment(g.b),
                    .align_base = alignment(base),
                    .align_c = alignment(g.c),
                    .align_bias = alignment(g.bias)};
  auto& known = ex.gpu->remembered<GemmPlans>().known;
  auto plan = known.find(key);
  if (plan == known.end()) plan = known.try_emplace(key, ex.gpu->blas(), key).first;
  plan->second.run(ex, g, base, workspace);
}

}  // namespace rk::cuda
