#include "train/weight_stream.h"

#include <algorithm>

#include "io/convert.h"

namespace rk {
namespace {

constexpr int64_t kBlock = 8192;  // elements that a thread has in its cache

}  // namespace

WeightStream::WeightStream(const Exec& ex, DType model_dtype) : ex_(ex), model_dtype_(model_dtype) {
  require(ex.pool != nullptr, "weights are converted by a pool of threads");
  if (ex.device != Device::cuda) return;
  for (Staging& s : staging_) {
    s.memory = Buffer(Device::pinned, static_cast<size_t>(kAtATime) * sizeof(double));
    s.left = std::make_unique<GpuEvent>(GpuEvent::Use::order);
  }
}

WeightStream::~WeightStream() { synchronize(ex_); }

// make(at, n, to): the numbers [at, at + n) in the dtype of `values`, by one thread.
template <class Make>
void WeightStream::stream(const Tensor& values, const Make& make) {
  for (int64_t begin = 0; begin < values.numel(); begin += kAtATime) {
    const Tensor to = values.slice(begin, std::min(kAtATime, values.numel() - begin));
    Staging* s = to.device == Device::cuda ? &staging_[next_++ % staging_.size()] : nullptr;
    if (s) s->left->wait();
    const Tensor made = s ? s->memory.tensor(to.dtype, to.shape) : to;
    ex_.pool->parallel_for(made.numel(), kBlock, [&](int64_t first, int64_t last) {
      for (int64_t at = first; at < last; at += kBlock) {
        const int64_t n = std::min(kBlock, last - at);
        make(begin + at, n, static_cast<std::byte*>(made.data) + static_cast<size_t>(at) * size_of(made.dtype));
      }
    });
    if (!s) continue;
    copy(ex_, made, to);
    s->left->record(*ex_.gpu);
  }
}

void WeightStream::put(const Tensor& values, DType dtype, const void* data) {
  stream(values, [&](int64_t at, int64_t n, void* to) {
    const std::byte* from = static_cast<const std::byte*>(data) + static_cast<size_t>(at) * size_of(dtype);
    if (dtype == model_dtype_ || values.dtype == model_dtype_) {
      convert_elements(dtype, from, values.dtype, to, n);
      return;
    }
    std::array<double, kBlock> rounded;
    convert_elements(dtype, from, model_dtype_, rounded.data(), n);
    convert_elements(model_dtype_, rounded.data(), values.dtype, to, n);
  });
}

void WeightStream::put(const Tensor& values, const Fill& fill) {
  stream(values, [&](int64_t at, int64_t n, void* to) {
    std::array<float, kBlock> numbers;
    std::array<double, kBlock> rounded;
    fill(at, std::span(numbers).first(static_cast<size_t>(n)));
    convert_elements(DType::f32, numbers.data(), model_dtype_, rounded.data(), n);
    convert_elements(model_dtype_, rounded.data(), values.dtype, to, n);
  });
}

}  // namespace rk
