// How far the collectives of one communicator have come on the GPU, readable while everything hangs: the GPU itself writes the number of
// each collective into memory of the host before and after it. So this works, too, where a CUDA graph issues them: a replay writes its
// numbers again.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "device/buffer.h"

struct CUstream_st;

namespace rk {

enum class Collective : uint8_t { all_reduce, reduce_scatter, all_gather, all_to_all, broadcast };

class Progress {
 public:
  explicit Progress(const char* use);  // what the communicator is for, a string literal
  // Notes a collective of n_bytes and returns its number, 1 at first.
  uint64_t issue(Collective what, size_t n_bytes);
  void begin(CUstream_st* stream, uint64_t number);  // queued before the collective
  void end(CUstream_st* stream, uint64_t number);    // and after it
  // As Pending::describe says.
  size_t describe(char* text, size_t n) const noexcept;
  const char* use() const { return use_; }

 private:
  static constexpr size_t kNoted = 256;  // the newest collectives, whose size is known
  uint64_t word(size_t index) const noexcept;

  const char* use_;
  Buffer words_;  // pinned: numbers of the last collective that has begun, and that has ended
  std::atomic<uint64_t> issued_{0};
  std::array<std::atomic<uint64_t>, kNoted> noted_{};  // kind and bytes of number i at i % kNoted
};

// Queues that *word becomes `number`. The word lies in pinned memory.
void queue_number(CUstream_st* stream, uint64_t* word, uint64_t number);

}  // namespace rk
