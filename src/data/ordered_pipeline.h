// One producer, several workers, one consumer that sees the items in the order of their production, and a bound on what is under way.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace rk {

// Item is default-constructible; consumed items are handed to produce() again, so that their memory is reused.
template <class Item>
struct OrderedStages {
  std::function<bool(Item&)> produce;          // false: no more; runs in a thread of its own
  std::function<void(Item&)> work;             // runs in `n_workers` threads
  std::function<void(Item&)> consume;          // runs in the caller's thread
  std::function<size_t(const Item&)> n_bytes;  // of a produced item
};

// An exception of any stage is rethrown when its item's turn comes: which error is reported does not depend on the threads.
template <class Item>
class OrderedPipeline {
 public:
  OrderedPipeline(OrderedStages<Item> stages, int n_workers, size_t max_bytes) : stages_(std::move(stages)), max_bytes_(max_bytes) {
    threads_.emplace_back([this] { produce_all(); });
    for (int i = 0; i < n_workers; ++i) threads_.emplace_back([this] { work_all(); });
  }
  OrderedPipeline(OrderedPipeline&&) = delete;
  ~OrderedPipeline() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return order_.empty() ? produced_all_ : order_.front()->done; });
      if (order_.empty()) return;
      std::unique_ptr<Slot> slot = std::move(order_.front());
      order_.pop_front();
      lock.unlock();
      if (slot->error) std::rethrow_exception(slot->error);
      stages_.consume(slot->item);
      lock.lock();
      bytes_under_way_ -= slot->n_bytes;
      slot->done = false;
      free_.push_back(std::move(slot));
      lock.unlock();
      changed_.notify_all();
    }
  }

 private:
  struct Slot {
    Item item;
    size_t n_bytes = 0;
    bool done = false;
    std::exception_ptr error;
  };

  std::unique_ptr<Slot> next_free_slot() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || order_.empty() || bytes_under_way_ < max_bytes_; });
    if (stopped_) return nullptr;
    if (free_.empty()) return std::make_unique<Slot>();
    std::unique_ptr<Slot> slot = std::move(free_.back());
    free_.pop_back();
    return slot;
  }

  void produce_all() {
    while (std::unique_ptr<Slot> slot = next_free_slot()) {
      bool more = false;
      try {
        more = stages_.produce(slot->item);
        if (more) slot->n_bytes = stages_.n_bytes(slot->item);
      } catch (...) {
        slot->error = std::current_exception();
        slot->done = true;
      }
      const std::lock_guard lock(mutex_);
      if (more) {
        bytes_under_way_ += slot->n_bytes;
        todo_.push_back(slot.get());
      }
      if (more || slot->error) order_.push_back(std::move(slot));
      if (!more) produced_all_ = true;
      changed_.notify_all();
      if (!more) return;
    }
  }

  void work_all() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopped_ || !todo_.empty() || produced_all_; });
      if (stopped_ || todo_.empty()) return;
      Slot* slot = todo_.front();
      todo_.pop_front();
      lock.unlock();
      try {
        stages_.work(slot->item);
      } catch (...) {
        slot->error = std::current_exception();
      }
      lock.lock();
      slot->done = true;
      lock.unlock();
      changed_.notify_all();
    }
  }

  OrderedStages<Item> stages_;
  size_t max_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Slot>> order_;  // produced, not consumed
  std::deque<Slot*> todo_;                   // of these, not worked on
  std::vector<std::unique_ptr<Slot>> free_;
  size_t bytes_under_way_ = 0;
  bool produced_all_ = false, stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace rk
