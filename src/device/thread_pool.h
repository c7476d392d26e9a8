// A fixed set of threads for loops inside one operator.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace rk {

// `size` workers, the caller being one of them. One loop at a time, from one thread.
class ThreadPool {
 public:
  explicit ThreadPool(int size);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls body(begin, end) on disjoint pieces that cover [0, n), at least `grain` long each (the last may be shorter), and
  // returns when all are done. Which thread runs a piece must not change results: bodies write disjoint outputs.
  // Does not allocate. An exception of a body is thrown again in the caller.
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, const Body& body) {
    run(n, grain, &body, [](const void* b, int64_t begin, int64_t end) { (*static_cast<const Body*>(b))(begin, end); });
  }

 private:
  using Call = void (*)(const void* body, int64_t begin, int64_t end);
  void run(int64_t n, int64_t grain, const void* body, Call call);
  void work(int index);
  void piece(int index);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  uint64_t generation_ = 0;
  int running_ = 0;
  bool stop_ = false;
  int64_t n_ = 0, chunk_ = 0;
  const void* body_ = nullptr;
  Call call_ = nullptr;
  std::exception_ptr error_;
};

}  // namespace rk
