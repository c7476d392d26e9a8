// Ids of short pieces of text that were seen before. A piece is found by one comparison of 16 bytes.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace rk {

// Id: uint16_t keeps up to 7 ids of a piece, int32_t up to 3.
template <class Id>
class PieceCache {
 public:
  static constexpr size_t max_bytes = 15, max_ids = 14 / sizeof(Id);
  struct Key {
    uint64_t low = 0, high = 0;  // bytes, zeros behind them, and their number in the last place
    bool operator==(const Key&) const = default;
  };
  struct Slot {
    Key key;
    Id ids[max_ids] = {};
    Id n = 0;  // of the ids; 0: empty

    // Writes max_ids values, of which the ids come first; how many these are.
    size_t put(int32_t* out) const {
#pragma GCC unroll 8
      for (size_t i = 0; i < max_ids; ++i) out[i] = ids[i];
      return static_cast<size_t>(n);
    }
  };

  static Key key_of(std::string_view piece) {  // 1 to max_bytes bytes
    uint64_t words[2] = {};
    std::memcpy(words, piece.data(), piece.size());
    return {words[0], words[1] | uint64_t{piece.size()} << 56};
  }
  // The same of the first n bytes at `text`, of which 16 can be read.
  static Key key_of_first(const char* text, size_t n) {
    uint64_t low, high;
    std::memcpy(&low, text, 8);
    std::memcpy(&high, text + 8, 8);
    const uint64_t low_mask = n >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * n) - 1;
    const uint64_t high_mask = n <= 8 ? 0 : (uint64_t{1} << 8 * (n - 8)) - 1;
    return {low & low_mask, (high & high_mask) | uint64_t{n} << 56};
  }

  // nullptr: it is not there.
  const Slot* find(Key key) const {
    const Pair& pair = pairs_[place_of(key)];
    const auto differ = [&](const Slot& slot) { return (slot.key.low ^ key.low) | (slot.key.high ^ key.high); };
    const uint64_t first = differ(pair.slots[0]), second = differ(pair.slots[1]);
    if (first != 0 && second != 0) return nullptr;
    return &pair.slots[first == 0 ? 0 : 1];  // without a branch: which of the two it is cannot be foreseen
  }
  // In place of the older of two pieces; more than max_ids ids are not kept.
  void insert(Key key, std::span<const int32_t> ids) {
    if (ids.size() > max_ids) return;
    Pair& pair = pairs_[place_of(key)];
    pair.slots[1] = pair.slots[0];
    pair.slots[0] = {key, {}, static_cast<Id>(ids.size())};
    for (size_t i = 0; i < ids.size(); ++i) pair.slots[0].ids[i] = static_cast<Id>(ids[i]);
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
