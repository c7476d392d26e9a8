// Memory of many numbers that is filled before it is read.
#pragma once
#include <cstddef>
#include <memory>
#include <span>

namespace rk {

// Grows and never shrinks. Its pages are touched first by whoever writes to them, which may be many threads.
template <class T>
class ScratchArray {
 public:
  // n numbers; what they were is lost.
  std::span<T> take(size_t n) {
    if (n > capacity_) {
      memory_.reset();  // before the new memory is there, too
      memory_ = std::make_unique_for_overwrite<T[]>(n);
      capacity_ = n;
    }
    return {memory_.get(), n};
  }

 private:
  std::unique_ptr<T[]> memory_;
  size_t capacity_ = 0;
};

}  // namespace rk
