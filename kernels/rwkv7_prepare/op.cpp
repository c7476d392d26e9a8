#include "kernels/rwkv7_prepare/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Rwkv7PrepareForward& a);
void run(const Exec& ex, const Rwkv7PrepareBackward& a, const Tensor& partial);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Rwkv7PrepareForward& a);
void run(const Exec& ex, const Rwkv7PrepareBackward& a);
}  // namespace cuda

namespace {

// Every named tensor that is there holds n elements of one type.
void check_all(std::initializer_list<const Tensor*> tensors, int64_t n, DType dtype, const char* promise) {
  for (const Tensor* t : tensors) require(!*t || (t->numel() == n && t->dtype == dtype), promise);
}

void check_heads(const Exec& ex, int64_t C, int64_t N) {
  require(N >= 1 && N <= 256 && C % N == 0, "columns are whole heads of at most 256 channels");
  require(ex.device != Device::cuda || N % 8 == 0, "heads on a GPU have a multiple of 8 channels");
}

double bytes(std::initializer_list<const Tensor*> tensors) {
  double sum = 0;
  for (const Tensor* t : tensors) sum += t->shape.rank > 0 ? static_cast<double>(t->n_bytes()) : 0;  // dry ones count, too
  return sum;
}

}  // namespace

void run(const Exec& ex, const Rwkv7PrepareForward& a) {
  const int64_t C = a.k_k.numel(), n = a.k0.numel();
  check_heads(ex, C, a.N);
  require(n % C == 0, "rows have one value per parameter");
  check_all({&a.k0, &a.w_lora, &a.a_lora, &a.v0_in, &a.v_lora, &a.v_first}, n, a.k0.dtype, "inputs have one size and type");
  check_all({&a.w, &a.k, &a.a, &a.b, &a.v}, n, a.k0.dtype, "outputs have size and type of the inputs");
  check_all({&a.w0, &a.a0, &a.v0, &a.k_k, &a.k_a}, C, a.k0.dtype, "parameters have one value per column");
  require(a.w.shape == a.w_lora.shape && (a.w.shape.rank == 0) == (a.w0.shape.rank == 0), "w comes with w_lora and w0 or not at all");
  const OpScope scope(ex, "rwkv7_prepare_forward",
                      bytes({&a.k0, &a.w_lora, &a.a_lora, &a.v0_in, &a.v_lora, &a.v_first, &a.w, &a.k, &a.a, &a.b, &a.v}));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

void run(const Exec& ex, const Rwkv7PrepareBackward& a) {
  const int64_t C = a.k_k.numel(), n = a.k0.numel();
  const DType sum = acc_dtype(a.k0.dtype);
  check_heads(ex, C, a.N);
  require(n % C == 0, "rows have one value per parameter");
  check_all({&a.k0, &a.a_lora, &a.v0_in, &a.v_lora, &a.v_first}, n, a.k0.dtype, "inputs have one size and type");
  check_all({&a.dw, &a.dk, &a.da, &a.db, &a.dv}, n, a.k0.dtype, "incoming gradients have size and type of the inputs");
  check_all({&a.dw_lora, &a.da_lora, &a.dk0, &a.dv0_in, &a.dv_lora}, n, a.k0.dtype, "gradients have size and type of the inputs");
  check_all({&a.dv_first}, n, sum, "the gradient of v_first is held in the accumulation dtype");
  check_all({&a.a0, &a.v0, &a.k_k, &a.k_a}, C, a.k0.dtype, "parameters have one value per column");
  check_all({&a.dw0, &a.da0, &a.dv0, &a.dk_k, &a.dk_a}, C, sum, "parameter gradients are held in the accumulation dtype");
  const bool copied = a.dw_lora && a.dw_lora.data != a.dw.data;
  const OpScope op(ex, "rwkv7_prepare_backward",
                   bytes({&a.k0, &a.a_lora, &a.v0_in, &a.v_lora, &a.v_first, &a.dk, &a.da, &a.db, &a.dv, &a.da_lora, &a.dk0, &a.dv0_in,
                          &a.dv_lora, &a.dv_first, &a.dv_first}) +
                       (copied || a.dw0 ? bytes({&a.dw}) : 0) + (copied ? bytes({&a.dw_lora}) : 0));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  const ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(sum, {cpu::RowBlocks(n / C).n, 5, C});
  if (ex.dry()) return;
  cpu::run(ex, a, partial);
}

}  // namespace rk
