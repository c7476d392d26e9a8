// Work space of calls that run on several threads at once: each borrows a piece, and usually gets the one that its thread used before.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>

namespace rk {

template <class T>
class Lender {
 public:
  explicit Lender(std::function<std::unique_ptr<T>()> make) : make_(std::move(make)) {}
  Lender(const Lender&) = delete;
  ~Lender() {
    for (auto& slot : slots_) delete slot.load();
  }

  class Loan {
   public:
    Loan(Loan&&) = delete;
    ~Loan() { lender_.take_back(item_); }
    T& operator*() const { return *item_; }
    T* operator->() const { return item_; }

   private:
    friend class Lender;
    Loan(Lender& lender, T* item) : lender_(lender), item_(item) {}
    Lender& lender_;
    T* item_;
  };

  Loan borrow() {
    const size_t first = own_slot();
    for (size_t i = 0; i < slots_.size(); ++i) {
      std::atomic<T*>& slot = slots_[(first + i) % slots_.size()];
      if (slot.load() == nullptr) continue;
      if (T* item = slot.exchange(nullptr)) return Loan(*this, item);
    }
    return Loan(*this, make_().release());
  }

 private:
  static size_t own_slot() { return (std::hash<std::thread::id>()(std::this_thread::get_id()) * 0x9E3779B97F4A7C15u) >> 58; }

  void take_back(T* item) {
    const size_t first = own_slot();
    for (size_t i = 0; i < slots_.size(); ++i) {
      T* empty = nullptr;
      if (slots_[(first + i) % slots_.size()].compare_exchange_strong(empty, item)) return;
    }
    delete item;
  }

  std::function<std::unique_ptr<T>()> make_;
  std::array<std::atomic<T*>, 64> slots_{};
};

}  // namespace rk
