// A number that equal token sequences share.
#pragma once
#include <cstdint>
#include <span>

#include "data/samples/token_data.h"

namespace rk {

// 64 bits, not against attackers; tokens may come in pieces.
class ContentHash {
 public:
  void add(std::span<const int32_t> tokens) {
    for (int32_t token : tokens) add(static_cast<uint32_t>(token));
  }
  uint64_t value() const { return mix(state_ ^ n_ * 0x9E3779B97F4A7C15ull); }

 private:
  void add(uint32_t token) {
    state_ = fold(state_ ^ (token + 0xA0761D6478BD642Full), 0xE7037ED1A0B428DBull);
    ++n_;
  }
  // The 128-bit product, folded: every bit depends on every other.
  static uint64_t fold(uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  static uint64_t mix(uint64_t x) { return fold(fold(x ^ 0x8EBC6AF09C88C6E3ull, 0x589965CC75374CC3ull), 0x1D8E4E27C47D124Full); }

  uint64_t state_ = 0x243F6A8885A308D3ull, n_ = 0;
};

// Of document d.
uint64_t document_hash(const TokenData& data, int64_t d);

// Whether a document belongs to the validation data: equal documents always share a side.
bool in_validation(uint64_t hash, double share);

}  // namespace rk
