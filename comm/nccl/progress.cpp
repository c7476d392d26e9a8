#ifdef ROOKERY_NCCL
#include "comm/nccl/progress.h"

#include <cstdio>

namespace rk {
namespace {

constexpr size_t kBegun = 0, kEnded = 8;  // a cache line apart
constexpr int kKindShift = 60;

const char* name_of(Collective c) {
  switch (c) {
    case Collective::all_reduce: return "all-reduce";
    case Collective::reduce_scatter: return "reduce-scatter";
    case Collective::all_gather: return "all-gather";
    case Collective::all_to_all: return "all-to-all";
    case Collective::broadcast: return "broadcast";
  }
  return "collective";
}

// "268.4 MB"; decimal, as NCCL and network cards count.
struct Amount {
  char text[24];
  explicit Amount(uint64_t n_bytes) {
    const auto n = static_cast<double>(n_bytes);
    if (n_bytes < 1000) {
      std::snprintf(text, sizeof text, "%llu B", static_cast<unsigned long long>(n_bytes));
    } else {
      const bool mega = n >= 1e6, giga = n >= 1e9;
      std::snprintf(text, sizeof text, "%.1f %s", n / (giga ? 1e9 : mega ? 1e6 : 1e3), giga ? "GB" : mega ? "MB" : "kB");
    }
  }
};

}  // namespace

Progress::Progress(const char* use) : use_(use), words_(Device::pinned, (kEnded + 1) * sizeof(uint64_t)) {}

uint64_t Progress::issue(Collective what, size_t n_bytes) {
  const uint64_t number = issued_.load(std::memory_order_relaxed) + 1;
  noted_[number % kNoted].store(static_cast<uint64_t>(what) << kKindShift | n_bytes, std::memory_order_relaxed);
  issued_.store(number, std::memory_order_release);
  return number;
}

static uint64_t* at(const Buffer& words, size_t index) { return reinterpret_cast<uint64_t*>(words.data()) + index; }

void Progress::begin(CUstream_st* stream, uint64_t number) { queue_number(stream, at(words_, kBegun), number); }
void Progress::end(CUstream_st* stream, uint64_t number) { queue_number(stream, at(words_, kEnded), number); }

uint64_t Progress::word(size_t index) const noexcept {
  return std::atomic_ref<uint64_t>(*at(words_, index)).load(std::memory_order_acquire);
}

size_t Progress::describe(char* text, size_t n) const noexcept {
  const uint64_t issued = issued_.load(std::memory_order_acquire), begun = word(kBegun), ended = word(kEnded);
  const bool inside = begun != ended;
  const uint64_t number = inside ? begun : begun + 1;
  if (number > issued) return 0;
  char what[64] = "a collective";
  if (issued - number < kNoted) {
    const uint64_t noted = noted_[number % kNoted].load(std::memory_order_relaxed);
    std::snprintf(what, sizeof what, "%s of %s", name_of(static_cast<Collective>(noted >> kKindShift)),
                  Amount(noted & ((uint64_t{1} << kKindShift) - 1)).text);
  }
  char rest[48] = "";
  if (issued > number)
    std::snprintf(rest, sizeof rest, ", after it %llu more wait%s", static_cast<unsigned long long>(issued - number),
                  issued - number == 1 ? "s" : "");
  const int length = std::snprintf(text, n, "%s of %s (number %llu) %s%s", what, use_, static_cast<unsigned long long>(number),
                                   inside ? "has begun and not ended" : "waits for earlier work of the GPU", rest);
  return length < 0 ? 0 : length < static_cast<int>(n) ? static_cast<size_t>(length) : n - 1;
}

}  // namespace rk
#endif
