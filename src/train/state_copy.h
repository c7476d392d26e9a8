// A copy in host memory of a rank's state as it is at one moment. The copy is made while training goes on: what would change the state
// waits for its part of the copy.
#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "device/exec.h"

namespace rk {

class StateCopy {
 public:
  // copies: the device of the state; its pool is not used.
  explicit StateCopy(const Exec& copies);
  StateCopy(const StateCopy&) = delete;
  StateCopy& operator=(const StateCopy&) = delete;
  ~StateCopy();

  // Takes the memory, in a thread of its own.
  void reserve(size_t n_bytes);
  // Waits for it: empty, or why there is none.
  const std::string& settle();
  size_t n_bytes() const { return memory_.size(); }  // settled
  bool holds(size_t n_bytes) const { return n_bytes > 0 && memory_.size() >= n_bytes; }

  // Begins to copy tensors of a GPU, in their order and behind the work that its stream has now; they fit. Returns at once.
  void begin(const std::vector<Tensor>& sources);
  // Where the copy of a tensor is, or will be.
  std::byte* of(size_t i) const { return places_[i]; }
  // Lays out the places only: who copies is the caller.
  void lay_out(const std::vector<Tensor>& sources);
  // The calling thread waits until tensors [0, i] are here. By one thread.
  void wait(size_t i) const;
  // Work that `stream` gets from now on begins after tensors [0, i] were copied.
  void hold(size_t i, CUstream_st* stream);
  // Seconds that the first held work was ready before the copy was complete; when all are here.
  double stalled() const;

 private:
  size_t group_of(size_t i) const;

  Exec ex_;
  Buffer memory_;
  std::string refusal_;
  std::thread reserving_;
  std::unique_ptr<GpuStream> stream_;
  std::unique_ptr<GpuEvent> moment_, held_, complete_;
  std::vector<std::unique_ptr<GpuEvent>> arrived_;  // of groups of tensors
  std::vector<size_t> group_end_;                   // tensors
  std::vector<std::byte*> places_;
  std::atomic<bool> was_held_{false};
};

}  // namespace rk
