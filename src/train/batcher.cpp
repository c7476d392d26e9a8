#include "train/batcher.h"

#include <algorithm>

#include "kernels/cross_entropy/op.h"

namespace rk {

Batcher::Batcher(BatchShape shape, Device device) : shape_(shape), memory_(device, n_bytes(shape)) {
  const auto T = static_cast<size_t>(shape.T);
  tokens_.resize(T);
  targets_.resize(T);
  weights_.resize(T);
  if (shape.resets) resets_.resize(T);
  offsets_.resize(static_cast<size_t>(shape.micro * shape.B));
  filled_ = memory_.data();
  if (device == Device::cuda) {
    for (int i = 0; i < 2; ++i) pinned_.emplace_back().memory = Buffer(Device::pinned, memory_.size());
  }
  const int64_t all = shape.micro * shape.B * shape.T;
  const Tensor tokens = memory_.tensor(DType::i32, {all}, 0);
  const Tensor targets = memory_.tensor(DType::i32, {all}, tokens.n_bytes());
  const Tensor weights = memory_.tensor(DType::f32, {all}, 2 * tokens.n_bytes());
  const Tensor resets = shape.resets ? memory_.tensor(DType::u8, {all}, 3 * tokens.n_bytes()) : Tensor{};
  segments_.resize(static_cast<size_t>(shape.micro));
  int64_t at = 0;
  for (auto& micro : segments_)
    for (int64_t t = 0; t < shape.T; t += shape.segment) {
      Segment s;
      s.B = shape.B;
      s.T = std::min(shape.segment, shape.T - t);
      const auto part = [&](const Tensor& x) { return x.slice(at, s.B * s.T).view({s.B, s.T}); };
      s.tokens = part(tokens);
      s.targets = part(targets);
      s.weights = part(weights);
      if (shape.resets) s.resets = part(resets);
      at += s.B * s.T;
      micro.push_back(s);
    }
}

void Batcher::begin_fill() {
  n_targets_ = 0;
  if (pinned_.empty()) return;
  current_ = (current_ + 1) % pinned_.size();
  pinned_[current_].copied.wait();
  filled_ = pinned_[current_].memory.data();
}

void Batcher::end_fill(const Exec& ex) {
  if (pinned_.empty()) return;
  Pinned& p = pinned_[current_];
  const Shape all{static_cast<int64_t>(memory_.size())};
  copy(ex, p.memory.tensor(DType::u8, all), memory_.tensor(DType::u8, all));
  p.copied.record(*ex.gpu);
}

void Batcher::put(int64_t m, int64_t row, const BatchSource& source, int64_t number) {
  int64_t offset = -1;
  std::fill(resets_.begin(), resets_.end(), uint8_t{0});  // of sources without documents, and of empty rows
  if (number >= 0) {
    offset = source.sample(number, {.tokens = tokens_, .targets = targets_, .weights = weights_, .resets = resets_});
  } else {
    std::fill(tokens_.begin(), tokens_.end(), 0);
    std::fill(targets_.begin(), targets_.end(), kNoRow);
    std::fill(weights_.begin(), weights_.end(), 0.0f);
  }
  offsets_[static_cast<size_t>(m * shape_.B + row)] = offset;
  int64_t t = 0;
  for (const Segment& s : segments_[static_cast<size_t>(m)]) {
    // The place in host memory of this row of a tensor of the segment.
    const auto place = [&](const Tensor& x) {
      const auto at = static_cast<size_t>(static_cast<std::byte*>(x.data) - memory_.data());
      return filled_ + at + static_cast<size_t>(row * s.T) * size_of(x.dtype);
    };
    std::copy_n(tokens_.begin() + t, s.T, reinterpret_cast<int32_t*>(place(s.tokens)));
    std::copy_n(targets_.begin() + t, s.T, reinterpret_cast<int32_t*>(place(s.targets)));
    std::copy_n(weights_.begin() + t, s.T, reinterpret_cast<float*>(place(s.weights)));
    if (s.resets) std::copy_n(resets_.begin() + t, s.T, reinterpret_cast<uint8_t*>(place(s.resets)));
    t += s.T;
  }
  for (size_t i = 0; i < targets_.size(); ++i)
    if (targets_[i] >= 0) n_targets_ += static_cast<double>(weights_[i]);
}

void Batcher::scale(const LossTerms& terms) {
  int64_t at = terms.loss_first;
  for (auto& micro : segments_) {
    for (Segment& s : micro) {
      s.scale = terms.scale;
      s.l2_scale = terms.l2_scale;
      s.loss_scale = terms.loss_scale;
      s.loss_sum = terms.loss_sum.slice(at, 1);
    }
    at += terms.loss_step;
  }
}

// Row j of micro-batch g is sample j * n_micro + g of the step (train/step_batch.h), whose tokens have numbers of their own: what is
// dropped follows from a sample and its token, whatever ranks, micro-batches and segments are.
void Batcher::drop(const StepDropout& rule) {
  int64_t g = rule.first;
  for (auto& micro : segments_) {
    int64_t t = 0;
    for (Segment& s : micro) {
      s.dropout = {.p = rule.p, .seed = rule.seed, .first_row = 0, .first_token = g * shape_.T + t, .row_tokens = rule.n_micro * shape_.T};
      t += s.T;
    }
    g += rule.step;
  }
}

}  // namespace rk
