// Numbers of files, and fresh ones, on their way into the pieces of weights that a rank owns (OwnedPiece::values): made or converted by all
// threads, in bounded memory, while earlier ones travel to the GPU.
#pragma once
#include <array>
#include <functional>
#include <vector>

#include "device/exec.h"

namespace rk {

class WeightStream {
 public:
  // model_dtype: what values are rounded to first, as a file of the model holds them.
  WeightStream(const Exec& ex, DType model_dtype);
  WeightStream(const WeightStream&) = delete;
  WeightStream& operator=(const WeightStream&) = delete;
  ~WeightStream();  // what was put has arrived

  // values [n] of any float dtype, anywhere; n numbers of `dtype` from `data` on.
  void put(const Tensor& values, DType dtype, const void* data);
  // fill(at, out): numbers [at, at + out.size()) of the n. Called by several threads.
  using Fill = std::function<void(int64_t at, std::span<float> out)>;
  void put(const Tensor& values, const Fill& fill);

  static constexpr int64_t kAtATime = int64_t{4} << 20;  // elements

 private:
  struct Staging {
    Buffer memory;
    std::unique_ptr<GpuEvent> left;
  };
  template <class Make>
  void stream(const Tensor& values, const Make& make);

  Exec ex_;
  DType model_dtype_;
  std::array<Staging, 2> staging_;
  size_t next_ = 0;
};

}  // namespace rk
