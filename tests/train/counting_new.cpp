// In a file of its own, so that the compiler cannot pair these with what it inlines elsewhere.
#include "train/counting_new.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int64_t> count{0};
}

// Sized, array and non-throwing forms go through these two; so does what is freed by them.
void* operator new(size_t n) {
  ++count;
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace rk {
int64_t allocations() { return count; }
}  // namespace rk
