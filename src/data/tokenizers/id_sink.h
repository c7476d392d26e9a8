// Ids on their way to the end of a vector, some hundreds at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace rk {

class IdSink {
 public:
  explicit IdSink(std::vector<int32_t>& ids) : ids_(ids) {}
  IdSink(const IdSink&) = delete;
  ~IdSink() { flush(); }

  static constexpr size_t at_once = 16;
  // Room for `at_once` ids, of which the first n that were written there count.
  int32_t* room() {
    if (n_ + at_once > size) flush();
    return waiting_ + n_;
  }
  void take(size_t n) { n_ += n; }
  void push(int32_t id) {
    *room() = id;
    take(1);
  }
  void append(std::span<const int32_t> ids) {
    flush();
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }

 private:
  void flush() {
    ids_.insert(ids_.end(), waiting_, waiting_ + n_);
    n_ = 0;
  }
  static constexpr size_t size = 1024;
  std::vector<int32_t>& ids_;
  size_t n_ = 0;
  int32_t waiting_[size];
};

}  // namespace rk
