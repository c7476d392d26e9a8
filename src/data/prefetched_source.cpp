#include "data/prefetched_source.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread_signals.h"

namespace rk {

// Slots are read in their order.
class PrefetchedSource::Reader {
 public:
  Reader(const BatchSource& from, int64_t T, int64_t most) : from_(from), T_(static_cast<size_t>(T)), slots_(static_cast<size_t>(most)) {
    const size_t all = T_ * slots_.size();
    tokens_.resize(all);
    targets_.resize(all);
    weights_.resize(all);
    resets_.resize(all);
    thread_ = std::thread([this] { read_all(); });
  }
  ~Reader() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void ask(std::span<const int64_t> numbers) {
    std::unique_lock lock(mutex_);
    n_asked_ = n_read_ = 0;  // the thread stops behind the sample it is at
    changed_.wait(lock, [&] { return !reading_; });
    n_asked_ = std::min(numbers.size(), slots_.size());
    for (size_t i = 0; i < n_asked_; ++i) slots_[i] = {numbers[i], 0, nullptr};
    lock.unlock();
    changed_.notify_all();
  }

  int64_t take(int64_t number, const SampleRow& row) {
    const auto began = std::chrono::steady_clock::now();
    const int64_t place = find(number, row);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return place;
  }
  double take_seconds() { return std::exchange(seconds_, 0.0); }

 private:
  struct Slot {
    int64_t number = -1, place = 0;
    std::exception_ptr error;
  };

  SampleRow row_of(size_t slot) {
    const auto part = [&](auto& all) { return std::span(all).subspan(slot * T_, T_); };
    return {.tokens = part(tokens_), .targets = part(targets_), .weights = part(weights_), .resets = part(resets_)};
  }

  int64_t find(int64_t number, const SampleRow& row) {
    std::unique_lock lock(mutex_);
    const auto end = slots_.begin() + static_cast<std::ptrdiff_t>(n_asked_);
    const auto found = std::find_if(slots_.begin(), end, [&](const Slot& s) { return s.number == number; });
    if (found == end) {
      lock.unlock();
      return from_.sample(number, row);
    }
    const auto slot = static_cast<size_t>(found - slots_.begin());
    changed_.wait(lock, [&] { return n_read_ > slot; });
    if (found->error) std::rethrow_exception(found->error);
    const SampleRow read = row_of(slot);
    std::copy(read.tokens.begin(), read.tokens.end(), row.tokens.begin());
    std::copy(read.targets.begin(), read.targets.end(), row.targets.begin());
    std::copy(read.weights.begin(), read.weights.end(), row.weights.begin());
    if (!row.resets.empty()) std::copy(read.resets.begin(), read.resets.end(), row.resets.begin());
    return found->place;
  }

  void read_all() {
    leave_signals_to_others();
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ended_ || n_read_ < n_asked_; });
      if (ended_) return;
      const size_t at = n_read_;
      const int64_t number = slots_[at].number;
      reading_ = true;
      lock.unlock();
      int64_t place = 0;
      std::exception_ptr error;
      try {
        place = from_.sample(number, row_of(at));
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      reading_ = false;
      if (n_asked_ > 0) {  // nobody has asked for others meanwhile
        slots_[at].place = place;
        slots_[at].error = error;
        ++n_read_;
      }
      changed_.notify_all();
    }
  }

  const BatchSource& from_;
  const size_t T_;
  // Of one slot after the other.
  std::vector<int32_t> tokens_, targets_;
  std::vector<float> weights_;
  std::vector<uint8_t> resets_;
  std::vector<Slot> slots_;
  size_t n_asked_ = 0, n_read_ = 0;  // of slots_
  bool reading_ = false, ended_ = false;
  double seconds_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

PrefetchedSource::PrefetchedSource(const BatchSource& from, int64_t T, int64_t most)
    : from_(from), reader_(std::make_unique<Reader>(from, T, most)) {}
PrefetchedSource::~PrefetchedSource() = default;

void PrefetchedSource::prefetch(std::span<const int64_t> numbers) { reader_->ask(numbers); }
int64_t PrefetchedSource::sample(int64_t number, const SampleRow& row) const { return reader_->take(number, row); }
double PrefetchedSource::take_seconds() { return reader_->take_seconds(); }

}  // namespace rk
