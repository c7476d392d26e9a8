#include "data/mt19937.h"

#include <algorithm>
#include <bit>

namespace rk {
namespace {

constexpr uint32_t mix(uint32_t word) { return word ^ (word >> 30); }

MersenneTwister seeded_like_python(int64_t seed) {
  const uint64_t size = seed < 0 ? 0 - static_cast<uint64_t>(seed) : static_cast<uint64_t>(seed);
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(size), static_cast<uint32_t>(size >> 32)};
  return MersenneTwister(std::span(key).first(key[1] != 0 ? 2 : 1));
}

}  // namespace

MersenneTwister::MersenneTwister(uint32_t seed) {
  words_[0] = seed;
  for (uint32_t i = 1; i < n_words; ++i) words_[i] = 1812433253u * mix(words_[i - 1]) + i;
}

MersenneTwister::MersenneTwister(std::span<const uint32_t> key) : MersenneTwister(19650218u) {
  size_t i = 1, j = 0;
  const auto advance = [&] {
    if (++i == n_words) words_[0] = words_[n_words - 1], i = 1;
  };
  for (size_t round = std::max<size_t>(n_words, key.size()); round > 0; --round) {
    words_[i] = (words_[i] ^ (mix(words_[i - 1]) * 1664525u)) + key[j] + static_cast<uint32_t>(j);
    advance();
    if (++j == key.size()) j = 0;
  }
  for (int round = n_words - 1; round > 0; --round) {
    words_[i] = (words_[i] ^ (mix(words_[i - 1]) * 1566083941u)) - static_cast<uint32_t>(i);
    advance();
  }
  words_[0] = 0x80000000u;
}

void MersenneTwister::refill() {
  constexpr int lag = 397;
  for (int i = 0; i < n_words; ++i) {
    const uint32_t y = (words_[i] & 0x80000000u) | (words_[(i + 1) % n_words] & 0x7fffffffu);
    words_[i] = words_[(i + lag) % n_words] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfu : 0u);
  }
  used_ = 0;
}

uint32_t MersenneTwister::next() {
  if (used_ == n_words) refill();
  uint32_t y = words_[used_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

int64_t NumpyRandom::below(int64_t n) {
  const uint64_t largest = static_cast<uint64_t>(n) - 1;
  if (largest == 0) return 0;  // draws nothing
  const uint64_t mask = ~uint64_t{0} >> std::countl_zero(largest);
  uint64_t drawn;
  do {
    drawn = twister_.next();
    if (largest > 0xffffffffu) drawn = drawn << 32 | twister_.next();
    drawn &= mask;
  } while (drawn > largest);
  return static_cast<int64_t>(drawn);
}

PythonRandom::PythonRandom(int64_t seed) : twister_(seeded_like_python(seed)) {}

uint64_t PythonRandom::below(uint64_t n) {
  const int bits = 64 - std::countl_zero(n);
  uint64_t drawn;
  do {  // the low word comes first, the last word gives its upper bits
    drawn = bits > 32 ? twister_.next() : twister_.next() >> (32 - bits);
    if (bits > 32) drawn |= static_cast<uint64_t>(twister_.next() >> (64 - bits)) << 32;
  } while (drawn >= n);
  return drawn;
}

}  // namespace rk
