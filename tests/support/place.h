// Where a test runs an operator: on the CPU with some threads, or on a GPU.
#pragma once
#include <cstring>
#include <memory>

#include "device/exec.h"

// Of the emulated GPU; null in programs without it.
extern "C" __attribute__((weak)) void rookery_emulator_runs_backward(bool backward);

namespace rk::test {

struct Place {
  Device device = Device::cpu;
  int threads = 1;

  Place(int n_threads = 1) : threads(n_threads) {}  // NOLINT: a number of threads is a place
  Place(Device d) : device(d) {}                    // NOLINT
};

inline bool has_gpu() {
  static const bool has = n_gpus() > 0;
  return has;
}

// The GPU of all tests of a program. Never given back: the driver may be gone when a program's last objects end.
inline Gpu& test_gpu() {
  static Gpu* gpu = new Gpu({});
  return *gpu;
}

// From memory of one device to another, done on return.
inline void copy_now(const Tensor& from, const Tensor& to) {
  Exec ex;
  if (from.device == Device::cuda || to.device == Device::cuda) ex.gpu = &test_gpu();
  copy(ex, from, to);
}

// Fills with bytes that are NaN in every floating type.
inline void poison(const Tensor& t) {
  if (t.n_bytes() == 0) return;
  const Buffer bytes(Device::cpu, t.n_bytes());
  std::memset(bytes.data(), 0xff, bytes.size());
  copy_now(bytes.tensor(t.dtype, t.shape), t);
}

// Arenas that only count, or of given sizes and full of NaN.
class PlaceExec {
 public:
  explicit PlaceExec(Place place) : pool_(place.threads), scratch_(place.device), kept_(place.device) { set(place); }
  PlaceExec(Place place, size_t scratch_bytes, size_t kept_bytes = 0)
      : pool_(place.threads), scratch_(poisoned(place, scratch_bytes)), kept_(poisoned(place, kept_bytes)) {
    set(place);
  }
  PlaceExec(const PlaceExec&) = delete;
  PlaceExec& operator=(const PlaceExec&) = delete;

  const Exec& ex() const { return ex_; }
  const Arena& scratch() const { return scratch_; }
  Arena& kept() { return kept_; }

 private:
  static Buffer poisoned(Place place, size_t n_bytes) {
    Buffer b(place.device, n_bytes);
    if (n_bytes > 0) poison(b.tensor(DType::u8, {static_cast<int64_t>(n_bytes)}));
    return b;
  }
  void set(Place place) {
    ex_ = {.device = place.device, .pool = &pool_, .kept = &kept_, .scratch = &scratch_};
    if (place.device == Device::cuda) ex_.gpu = &test_gpu();
  }

  ThreadPool pool_;
  Arena scratch_, kept_;
  Exec ex_;
};

// While it lives, an emulated GPU runs threads and blocks in the opposite order. A real one does as it likes.
class OtherOrder {
 public:
  OtherOrder() { set(true); }
  ~OtherOrder() { set(false); }
  OtherOrder(const OtherOrder&) = delete;
  OtherOrder& operator=(const OtherOrder&) = delete;

 private:
  static void set(bool backward) {
    if (rookery_emulator_runs_backward) rookery_emulator_runs_backward(backward);
  }
};

}  // namespace rk::test
