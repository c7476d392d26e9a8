#include "kernels/rwkv7_output/op.h"

#include "kernels/common/check_all.h"
#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Rwkv7OutputForward& a);
void run(const Exec& ex, const Rwkv7OutputBackward& a, const Tensor& partial);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Rwkv7OutputForward& a);
void run(const Exec& ex, const Rwkv7OutputBackward& a);
}  // namespace cuda

namespace {

template <class Args>
void check_inputs(const Exec& ex, const Args& a) {
  const int64_t C = a.weight.numel();
  require(a.N >= 1 && a.N <= 256 && C % a.N == 0, "columns are whole heads of at most 256 channels");
  require(ex.device != Device::cuda || a.N % 8 == 0, "heads on a GPU have a multiple of 8 channels");
  require(a.y.numel() % C == 0, "rows have one value per column");
  check_all({&a.y, &a.r, &a.k, &a.v, &a.g}, a.y.numel(), a.y.dtype, "inputs have one size and type");
  check_all({&a.weight, &a.bias, &a.r_k}, C, a.y.dtype, "parameters have one value per column");
}

}  // namespace

void run(const Exec& ex, const Rwkv7OutputForward& a) {
  check_inputs(ex, a);
  check_all({&a.out}, a.y.numel(), a.y.dtype, "the output has size and type of the inputs");
  const OpScope op(ex, "rwkv7_output_forward", 6.0 * static_cast<double>(a.y.n_bytes()));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

void run(const Exec& ex, const Rwkv7OutputBackward& a) {
  check_inputs(ex, a);
  check_all({&a.dout, &a.dy, &a.dr, &a.dk, &a.dv, &a.dg}, a.y.numel(), a.y.dtype, "gradients have size and type of the inputs");
  if (a.out) check_all({&a.out}, a.y.numel(), a.y.dtype, "the output has size and type of the inputs");
  const int64_t C = a.weight.numel();
  const DType sum = acc_dtype(a.y.dtype);
  for (const Tensor* t : {&a.dweight, &a.dbias, &a.dr_k}) {
    require(!*t || (t->numel() == C && t->dtype == sum), "parameter gradients are held in the accumulation dtype");
  }
  const OpScope op(ex, "rwkv7_output_backward", (11.0 + (a.out ? 1 : 0) + (a.add ? 3 : 0)) * static_cast<double>(a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  const ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(sum, {cpu::RowBlocks(a.y.numel() / C).n, 3, C});
  if (ex.dry()) return;
  cpu::run(ex, a, partial);
}

}  // namespace rk
