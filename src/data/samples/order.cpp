#include "data/samples/order.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "data/sampling.h"

namespace rk {
namespace {

constexpr uint64_t shuffle_stream = 0x73687566ull << 32, random_stream = 0x72616e64ull << 32;  // apart from other uses of a seed
constexpr int mix_bits = 48;

uint64_t low_bits(int n) { return n == 0 ? 0 : ~uint64_t{0} >> (64 - n); }

uint64_t word(const std::array<uint32_t, 4>& bits) { return uint64_t{bits[1]} << 32 | bits[0]; }

}  // namespace

int64_t permuted(int64_t i, int64_t n, uint64_t seed, uint64_t pass) {
  if (n <= 1) return 0;
  // Numbers of `bits` bits, of which at most half are too large and walk on.
  const int bits = 64 - std::countl_zero(static_cast<uint64_t>(n - 1)), right = bits / 2, left = bits - right;
  uint64_t x = static_cast<uint64_t>(i);
  do {
    uint64_t l = x >> right, r = x & low_bits(right);
    for (uint64_t round = 0; round < 4; ++round) {
      l ^= word(philox(seed, shuffle_stream | round, pass << 40 ^ r)) & low_bits(left);
      r ^= word(philox(seed, shuffle_stream | round | 16, pass << 40 ^ l)) & low_bits(right);
    }
    x = l << right | r;
  } while (x >= static_cast<uint64_t>(n));
  return static_cast<int64_t>(x);
}

int64_t drawn(int64_t n, uint64_t seed, uint64_t number) {
  const uint64_t x = word(philox(seed, random_stream, number));
  return static_cast<int64_t>(static_cast<unsigned __int128>(x) * static_cast<unsigned __int128>(n) >> 64);
}

int64_t n_random_places(int64_t n_tokens, int64_t ctx_len) { return std::max<int64_t>(1, n_tokens - (ctx_len + 1)); }

int64_t SampleOrder::index(int64_t number) const {
  if (kind == Kind::random || number < random_steps) return drawn(n_random, seed, static_cast<uint64_t>(number));
  const int64_t since = number - random_steps;
  if (kind == Kind::prime) return sample_offset(since, n, stride) + shift;
  const int64_t k = random_steps > 0 ? since : since - 1, pass = k / n, i = k % n;
  switch (kind) {
    case Kind::shuffle: return permuted(i, n, seed, static_cast<uint64_t>(pass)) * stride + shift;
    case Kind::table: return (*table)[static_cast<size_t>(i)] * stride + shift;
    default: return i * stride + shift;
  }
}

SourceMix::SourceMix(std::vector<double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  double rest = sum;
  for (double w : weights) {
    require(w > 0, "every source has a weight");
    shares_.push_back(w / sum);
    parts_.push_back(static_cast<uint64_t>(std::min(1.0, w / rest) * static_cast<double>(uint64_t{1} << mix_bits)));
    rest -= w;
  }
  parts_.back() = uint64_t{1} << mix_bits;  // the last one takes what is left
}

// Source 0 takes its part of all samples, source 1 its part of the others, and so on; rounding to the nearest spreads them evenly.
SourceMix::Place SourceMix::place(int64_t number) const {
  const auto taken = [](uint64_t part, int64_t n) {
    const auto half = static_cast<unsigned __int128>(1) << (mix_bits - 1);
    return static_cast<int64_t>((static_cast<unsigned __int128>(part) * static_cast<unsigned __int128>(n) + half) >> mix_bits);
  };
  int64_t n = number;
  for (size_t s = 0;; ++s) {
    const int64_t here = taken(parts_[s], n);
    if (here != taken(parts_[s], n - 1)) return {static_cast<int64_t>(s), here};
    n -= here;
  }
}

int64_t SourceMix::count(int64_t source, int64_t number) const {
  const auto half = static_cast<unsigned __int128>(1) << (mix_bits - 1);
  int64_t n = number, here = 0;
  for (int64_t s = 0; s <= source; ++s) {
    here = static_cast<int64_t>(
        (static_cast<unsigned __int128>(parts_[static_cast<size_t>(s)]) * static_cast<unsigned __int128>(n) + half) >> mix_bits);
    n -= here;
  }
  return here;
}

int64_t item_of_rank(int64_t idx, int64_t world, int64_t rank) { return idx * world + rank; }

int64_t ContextWarmup::length(int64_t k) const {
  const int64_t begin = k / samples_per_step * samples_per_step, all = std::max<int64_t>(steps * samples_per_step, 1);
  const double done = std::min(static_cast<double>(begin) / static_cast<double>(all), 1.0);
  return static_cast<int64_t>(done * static_cast<double>(final - initial) + static_cast<double>(initial));
}

}  // namespace rk
