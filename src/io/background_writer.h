// A tensor file that is written by a thread of its own, while the caller makes the next bytes.
#pragma once
#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "device/buffer.h"
#include "io/tensor_file.h"

namespace rk {

// One thread at a time calls it, and hands over the bytes of the tensors in the order of the file. An error of the file is thrown by the
// next call.
class BackgroundWriter {
 public:
  static constexpr size_t kMostBytes = size_t{16} << 20;  // of a buffer

  // Buffers of n_bytes, at most kMostBytes, lie in `memory`, Device::cpu or pinned.
  BackgroundWriter(std::unique_ptr<TensorWriter> writer, Device memory, size_t n_bytes);
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;
  ~BackgroundWriter();  // an unfinished file is removed

  // The buffer to fill next; waits until one is free.
  const Buffer& take();
  // Its first n_bytes are the next of the file.
  void put(size_t n_bytes);
  // Waits for what was put, and finishes the file.
  void finish();

 private:
  void work();
  void check();

  std::unique_ptr<TensorWriter> writer_;
  std::array<Buffer, 4> buffers_;  // used in turn: the oldest of those put is the next to be written
  size_t n_put_ = 0, n_written_ = 0;
  std::deque<size_t> sizes_;  // of those put and not written
  bool stop_ = false;
  std::exception_ptr error_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace rk
