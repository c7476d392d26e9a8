// Losses by micro-batch and squares of gradients by block, which all ranks add up in one order whoever has made them: sums that have the
// same bits on any number of ranks. Each number has one owner and is zero elsewhere, so that the reduction over ranks is exact.
#pragma once
#include "device/exec.h"
#include "train/step_batch.h"
#include "train/step_numbers.h"

namespace rk {

class OrderedSums {
 public:
  OrderedSums(Device device, const StepBatch& batch, int64_t n_square_blocks);
  static size_t n_bytes(const StepBatch& batch, int64_t n_square_blocks);

  Tensor losses() const { return all().slice(0, n_losses_); }  // by number of the micro-batch, StepBatch::number
  Tensor squares() const { return all().slice(n_losses_, all().numel() - n_losses_); }
  Tensor all() const { return memory_.tensor(DType::f64, {static_cast<int64_t>(memory_.size() / sizeof(double))}); }

  void start_step(const Exec& ex);  // all are zero
  // This rank's loss, or, when all() was summed over ranks, everybody's.
  void sum_losses(const Exec& ex, const StepNumbers& numbers);
  void sum_squares(const Exec& ex, const StepNumbers& numbers);

 private:
  int64_t n_losses_;
  Buffer memory_;
};

}  // namespace rk
