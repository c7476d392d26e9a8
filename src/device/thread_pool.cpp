#include "device/thread_pool.h"

#include <algorithm>
#include <exception>

namespace rk {

ThreadPool::ThreadPool(int size) {
  for (int i = 1; i < size; ++i) threads_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (auto& t : threads_) t.join();
}

void ThreadPool::run(int64_t n, int64_t grain, const void* body, Call call) {
  if (n <= 0) return;
  const int64_t pieces = std::clamp<int64_t>(n / std::max<int64_t>(grain, 1), 1, size());
  if (pieces == 1) return call(body, 0, n);
  {
    std::lock_guard lock(mutex_);
    n_ = n;
    chunk_ = (n + pieces - 1) / pieces;
    body_ = body;
    call_ = call;
    error_ = nullptr;
    running_ = static_cast<int>(threads_.size());
    ++generation_;
  }
  wake_.notify_all();
  piece(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return running_ == 0; });
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::piece(int index) {
  const int64_t begin = std::min(n_, chunk_ * index), end = std::min(n_, begin + chunk_);
  if (begin >= end) return;
  try {
    call_(body_, begin, end);
  } catch (...) {
    std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
}

void ThreadPool::work(int index) {
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      if (stop_) return;
    }
    piece(index);
    std::lock_guard lock(mutex_);
    if (--running_ == 0) done_.notify_one();
  }
}

}  // namespace rk
