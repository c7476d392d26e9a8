#include "kernels/group_norm_gate/op.h"

#include "kernels/common/check_all.h"
#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const GroupNormGateForward& a);
void run(const Exec& ex, const GroupNormGateBackward& a, const Tensor& partial);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const GroupNormGateForward& a);
void run(const Exec& ex, const GroupNormGateBackward& a);
}  // namespace cuda

namespace {

template <class Args>
void check_inputs(const Exec& ex, const Args& a) {
  const int64_t C = a.weight.numel();
  require(a.N >= 1 && a.N <= 256 && C % a.N == 0, "columns are whole groups of at most 256 channels");
  require(ex.device != Device::cuda || a.N % 8 == 0, "groups on a GPU have a multiple of 8 channels");
  require(a.y.numel() % C == 0, "rows have one value per column");
  check_all({&a.g}, a.y.numel(), a.y.dtype, "y and the gate have one size and type");
  check_all({&a.weight, &a.bias}, C, a.y.dtype, "parameters have one value per column");
}

}  // namespace

void run(const Exec& ex, const GroupNormGateForward& a) {
  check_inputs(ex, a);
  check_all({&a.out}, a.y.numel(), a.y.dtype, "the output has size and type of y");
  const OpScope op(ex, "group_norm_gate", 3.0 * static_cast<double>(a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const GroupNormGateBackward& a) {
  check_inputs(ex, a);
  const bool forms_out = a.out.shape.rank > 0;  // in a dry run, too
  check_all({&a.dout, &a.dy, &a.dg}, a.y.numel(), a.y.dtype, "gradients have size and type of y");
  if (forms_out) check_all({&a.out}, a.y.numel(), a.y.dtype, "the output has size and type of y");
  const int64_t C = a.weight.numel();
  const DType sum = acc_dtype(a.y.dtype);
  for (const Tensor* t : {&a.dweight, &a.dbias}) {
    require(!*t || (t->numel() == C && t->dtype == sum), "parameter gradients are held in the accumulation dtype");
  }
  const OpScope op(ex, "group_norm_gate_backward", (forms_out ? 6.0 : 5.0) * static_cast<double>(a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  const ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(sum, {cpu::RowBlocks(a.y.numel() / C).n, 2, C});
  if (ex.dry()) return;
  cpu::run(ex, a, partial);
}

}  // namespace rk
