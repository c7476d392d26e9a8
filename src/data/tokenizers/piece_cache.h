// Ids of short pieces of text that were seen before. A piece is found by one comparison of 16 bytes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace rk {

class PieceCache {
 public:
  static constexpr size_t max_bytes = 15, max_ids = 3;
  struct Key {
    uint64_t low = 0, high = 0;  // bytes, zeros behind them, and their number in the last place
    bool operator==(const Key&) const = default;
  };
  struct Slot {
    Key key;
    int32_t ids[max_ids] = {};
    uint32_t n = 0;  // of the ids; 0: empty
  };

  static Key key_of(std::string_view piece) {  // 1 to max_bytes bytes
    uint64_t words[2] = {};
    std::memcpy(words, piece.data(), piece.size());
    return {words[0], words[1] | uint64_t{piece.size()} << 56};
  }
  // Of the first n of 16 bytes.
  static Key key_of(uint64_t low, uint64_t high, size_t n) {
    const uint64_t low_mask = n >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * n) - 1;
    const uint64_t high_mask = n <= 8 ? 0 : (uint64_t{1} << 8 * (n - 8)) - 1;
    return {low & low_mask, (high & high_mask) | uint64_t{n} << 56};
  }

  // nullptr: it is not there.
  const Slot* find(Key key) const {
    const Pair& pair = pairs_[place_of(key)];
    if (pair.slots[0].key == key) return &pair.slots[0];
    return pair.slots[1].key == key ? &pair.slots[1] : nullptr;
  }
  // In place of the older of two pieces; more than max_ids ids are not kept.
  void insert(Key key, std::span<const int32_t> ids) {
    if (ids.size() > max_ids) return;
    Pair& pair = pairs_[place_of(key)];
    pair.slots[1] = pair.slots[0];
    pair.slots[0] = {key, {}, static_cast<uint32_t>(ids.size())};
    std::copy(ids.begin(), ids.end(), pair.slots[0].ids);
  }

 private:
  static constexpr int bits = 14;
  struct alignas(64) Pair {
    Slot slots[2];
  };
  static size_t place_of(Key key) {
    const uint64_t h = key.low * 0x9E3779B97F4A7C15u + key.high * 0xD6E8FEB86659FD93u;
    return (h ^ h >> 29) * 0xBF58476D1CE4E5B9u >> (64 - bits);
  }
  std::vector<Pair> pairs_ = std::vector<Pair>(size_t{1} << bits);
};

}  // namespace rk
