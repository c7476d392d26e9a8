#include "kernels/state_hash/op.h"

#include <atomic>
#include <cstring>
#include <type_traits>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/state_hash/word.h"

namespace rk {
namespace cuda {
void run(const Exec& ex, const StateHash& a);
}

namespace {

template <class T>
uint64_t sum_of_words(const Exec& ex, const StateHash& a) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const T* x = a.x.as<T>();
  std::atomic<uint64_t> total{0};
  cpu::for_flat_ranges(ex, a.x.numel(), [&](int64_t begin, int64_t end) {
    uint64_t sum = 0;
    for (int64_t i = begin; i < end; ++i) {
      Bits bits = 0;
      std::memcpy(&bits, x + i, sizeof bits);
      sum += state_word(a.key, a.first + i, bits);
    }
    total += sum;
  });
  return total;
}

}  // namespace

void run(const Exec& ex, const StateHash& a) {
  require(a.x.dtype == DType::f32 || a.x.dtype == DType::f64, "states are held in f32 or f64");
  require(a.out.numel() == 1 && a.out.dtype == DType::i64, "a hash is one whole number");
  const OpScope watched(ex, "state_hash", static_cast<double>(a.x.n_bytes()));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  const uint64_t sum = a.x.dtype == DType::f32 ? sum_of_words<float>(ex, a) : sum_of_words<double>(ex, a);
  int64_t& out = *a.out.as<int64_t>();
  out = static_cast<int64_t>(static_cast<uint64_t>(out) + sum);
}

}  // namespace rk
