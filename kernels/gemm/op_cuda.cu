// Products by cuBLASLt; each is described once and remembered, so that a step of training looks them up and allocates nothing.
#include <unordered_map>

#include "kernels/common/launch.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/gemm/plan_cuda.h"

namespace rk::cuda {
namespace {

struct GemmPlans {
  std::unordered_map<GemmKey, GemmPlan, GemmKeyHash> known;
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
  const Tensor workspace = ex.scratch->take(DType::u8, {kGemmWorkspace});
  if (ex.dry()) return;
  const GemmKey key(ex, g);
  if (key.K == 0) {
    const int64_t n = key.M * key.N;
    const auto blocks = static_cast<unsigned>(ceil_div(n, 256));
    return with_dtype(g.c.dtype, [&]<class T>() {
      launch(ex, empty_sum<T>, {.grid = blocks, .block = 256}, maybe<T>(base_of(g)), maybe<T>(g.bias), g.c.as<T>(), n, key.N);
    });
  }
  auto& known = ex.gpu->remembered<GemmPlans>().known;
  auto plan = known.find(key);
  if (plan == known.end()) {
    plan = known.try_emplace(key, *ex.gpu, key).first;
    require(plan->second.found(), "cuBLASLt has an algorithm for every product");
  }
  plan->second.run(ex, g, workspace);
}

}  // namespace rk::cuda
