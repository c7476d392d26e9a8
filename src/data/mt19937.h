// MT19937 (Matsumoto, Nishimura 1998) seeded and drawn from as NumPy's legacy generator and Python's `random` do, for orders that
// other tools made (golden data §11).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace rk {

class MersenneTwister {
 public:
  explicit MersenneTwister(uint32_t seed);
  explicit MersenneTwister(std::span<const uint32_t> key);  // seeding by an array; the key is not empty
  uint32_t next();

 private:
  void refill();

  static constexpr int n_words = 624;
  std::array<uint32_t, n_words> words_;
  int used_ = n_words;
};

// np.random.seed(seed); np.random.randint(0, n).
class NumpyRandom {
 public:
  explicit NumpyRandom(uint32_t seed) : twister_(seed) {}
  int64_t below(int64_t n);  // n >= 1

 private:
  MersenneTwister twister_;
};

// random.seed(seed); random.shuffle(list).
class PythonRandom {
 public:
  explicit PythonRandom(int64_t seed);
  uint64_t below(uint64_t n);  // n >= 1

  template <class T>
  void shuffle(std::span<T> list) {
    for (size_t n = list.size(); n > 1; --n) std::swap(list[n - 1], list[below(n)]);
  }

 private:
  MersenneTwister twister_;
};

}  // namespace rk
