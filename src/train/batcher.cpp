#include "train/batcher.h"

#include <algorithm>

namespace rk {

Batcher::Batcher(BatchShape shape) : shape_(shape) {
  const auto T = static_cast<size_t>(shape.T);
  tokens_.resize(T);
  targets_.resize(T);
  weights_.resize(T);
  offsets_.resize(static_cast<size_t>(shape.micro * shape.B));
  const int64_t n = shape.B * shape.T, all = shape.micro * n;
  memory_ = Buffer(Device::cpu, static_cast<size_t>(all) * (2 * sizeof(int32_t) + sizeof(float)));
  const Tensor tokens = memory_.tensor(DType::i32, {all}, 0);
  const Tensor targets = memory_.tensor(DType::i32, {all}, tokens.n_bytes());
  const Tensor weights = memory_.tensor(DType::f32, {all}, 2 * tokens.n_bytes());
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
      at += s.B * s.T;
      micro.push_back(s);
    }
}

void Batcher::put(int64_t m, int64_t row, const BatchSource& source, int64_t number) {
  int64_t offset = -1;
  if (number >= 0) {
    offset = source.sample(number, tokens_, targets_, weights_);
  } else {
    std::fill(tokens_.begin(), tokens_.end(), 0);
    std::fill(targets_.begin(), targets_.end(), -100);
    std::fill(weights_.begin(), weights_.end(), 0.0f);
  }
  offsets_[static_cast<size_t>(m * shape_.B + row)] = offset;
  int64_t t = 0;
  for (const Segment& s : segments_[static_cast<size_t>(m)]) {
    std::copy_n(tokens_.begin() + t, s.T, s.tokens.as<int32_t>() + row * s.T);
    std::copy_n(targets_.begin() + t, s.T, s.targets.as<int32_t>() + row * s.T);
    std::copy_n(weights_.begin() + t, s.T, s.weights.as<float>() + row * s.T);
    t += s.T;
  }
  for (size_t i = 0; i < targets_.size(); ++i)
    if (targets_[i] >= 0) n_targets_ += static_cast<double>(weights_[i]);
}

void Batcher::scale(double scale, double l2_scale, Tensor loss_sum) {
  for (auto& micro : segments_)
    for (Segment& s : micro) {
      s.scale = scale;
      s.l2_scale = l2_scale;
      s.loss_sum = loss_sum;
    }
}

}  // namespace rk
